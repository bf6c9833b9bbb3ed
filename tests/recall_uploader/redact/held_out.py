"""Forty leaks and forty look-alikes that were written after the rules, and never tuned on."""

from __future__ import annotations

import json

from leak import Leak
from made_up import ALNUM, BASE64, HEX, URLSAFE, MadeUp

_LEAKS = (
    "spring:\n  datasource:\n    username: app\n    password: {word}\n",
    '[client]\nuser=root\npassword="{word}"\nhost=db',
    "aws configure set aws_secret_access_key {secret40}",
    'resource "aws_db_instance" "x" {{\n  password = "{word}"\n}}',
    'variable "db_password" {{\n  default = "{word}"\n}}',
    "I tried logging in with password {word} but it failed",
    "ansible_ssh_pass={word} ansible_user=bob",
    "ansible_become_password: {word}",
    "kubectl config set-credentials bob --token={token}",
    "helm upgrade x ./chart --set postgresql.auth.password={word} --wait",
    "export SLACK_SIGNING_SECRET={token}",
    "GF_SECURITY_ADMIN_PASSWORD={word}",
    "http.headers.set('x-api-key', '{token}')",
    "axios.defaults.headers.common['Authorization'] = `Bearer {token}`",
    'req.Header.Set("Authorization", "Bearer {token}")',
    "fetch(url, {{headers: {{authorization: 'Bearer {token}'}}}})",
    "wget --header='Authorization: Bearer {token}' https://a.example",
    "http POST a.example Authorization:'Bearer {token}'",
    'the response was {{"access_token":"{token}","expires_in":3600}}',
    '{{\\"client_secret\\": \\"{token}\\", \\"grant_type\\": \\"client_credentials\\"}}',
    'client = OpenAI(api_key="{token}")',
    "boto3.client('s3', aws_secret_access_key='{secret40}')",
    "psycopg2.connect(host='db', user='app', password='{word}')",
    "redis.Redis(host='x', password='{word}')",
    'conn = "Data Source=db;Initial Catalog=x;User ID=sa;Password={word}"',
    "snowflake://bob:{word}@acme/db/schema?warehouse=x",
    "https://bob:{word}@jenkins.example.com/job/x/build?token=abc",
    "git remote set-url origin https://oauth2:{token}@gitlab.example.com/a/b.git",
    "mongodb://admin:{word}@a:27017,b:27017/?replicaSet=rs0",
    "ssh-keygen -t rsa -N '{word}' -f key",
    "gpg --batch --passphrase {word} -c file",
    "restic password is {word}",
    "wifi password: {word}",
    "Passwort: {word}",
    'Env: ["POSTGRES_PASSWORD={word}", "TZ=UTC"]',
    "docker run -e POSTGRES_PASSWORD={word} -d postgres",
    '<property name="hibernate.connection.password">{word}</property>',
    '<string name="api_key">{token}</string>',
    "DB_PASSWORD_FILE was empty so I set DB_PASSWORD to {word}",
    '{{"auth": {{"username": "bob", "password": "{word}"}}}}',
)
_LOOKALIKES = r"""
The tokenizer splits passwords into subword tokens
SELECT password_hash FROM users WHERE id = 7
ALTER TABLE users ADD COLUMN token_expires_at TIMESTAMP
password_min_length: 12
PASSWORD_RESET_TIMEOUT = 86400
SESSION_COOKIE_NAME = "sid"
token_budget: 8192
"total_tokens": 15234
max_new_tokens=256
assert token.is_valid()
raise ValueError("password must not be empty")
logger.info("token refreshed for %s", user)
print(f"token={token!r}")
def check_password(self, raw_password: str) -> bool:
class TokenBucket:
from secrets import token_bytes
import { useToken } from "./auth"
const { password, ...rest } = user;
passwordField.setText("");
secret := os.Getenv("APP_SECRET")
api_key: ${API_KEY:-}
password: !vault |
secretName: tls-wildcard-example-com
imagePullSecrets: [{name: regcred}]
kubectl get secret db -o yaml
kubectl create secret generic db --from-file=./password.txt
ssh -i ~/.ssh/id_ed25519 bob@host
auth: none
authentication: enabled
Authorization: required
key=lambda item: item.score
sorted(rows, key=len)
dict_key: 42
foreign key (session_id) references sessions (id)
keypress: Enter
The API key is stored in the keychain
the access token lives for 15 minutes
rotate the secret every 90 days
passed: 12 tests in 3.4s
"""


def held_out(seed: int = 101) -> list[Leak]:
    made = MadeUp(seed)
    found = []
    for number, form in enumerate(_LEAKS):
        parts = {
            "word": made.password(12),
            "token": made.of(ALNUM, 32),
            "secret40": made.of(BASE64, 40),
        }
        secret = next(parts[name] for name in parts if "{" + name + "}" in form)
        found.append(Leak(f"held-out-{number}", form.format(**parts), secret))
    return found


def held_out_lookalikes(seed: int = 103) -> list[str]:
    made = MadeUp(seed)
    plain = [line for line in _LOOKALIKES.split("\n") if line]
    return [*plain, json.dumps({"etag": made.of(HEX, 32), "cursor": made.of(URLSAFE, 24)})]
