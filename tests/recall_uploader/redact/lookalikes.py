"""What only looks like a secret, and must stay readable to the last character."""

from __future__ import annotations

import base64
import hashlib
import uuid

from made_up import ALNUM, BASE64, HEX, MadeUp

_PLAIN = r"""
max.poll.records=5000
token_count=5000
max_tokens: 4096
"max_tokens": 4096,
tokenizer=bert-base-uncased
tokenizer: AutoTokenizer.from_pretrained("gpt2")
secret_name: my-secret
secretName: db-credentials
password_hash VARCHAR(255) NOT NULL
CREATE TABLE users (id INT, password VARCHAR(60), token TEXT)
password_hash = hasher.hash(plain)
password=
password =
PASSWORD=""
password: ''
"password": "",
password: null
password: None
password: true
API_KEY=
api_key: <your-api-key>
api_key = "YOUR_API_KEY"
API_KEY=your-api-key-here
token: ${TOKEN}
TOKEN=$TOKEN
password: $DB_PASSWORD
password="${DB_PASSWORD}"
password: {{ vault_db_password }}
password: ${{ secrets.DB_PASSWORD }}
password=%(password)s
password=%s
f"password={password}"
Authorization: Bearer <token>
Authorization: Bearer $TOKEN
Authorization: Bearer ${TOKEN}
-H "Authorization: Bearer $GITHUB_TOKEN"
Authorization: Bearer YOUR_TOKEN
send a bearer token in the header
Bearer token authentication is required
The Bearer scheme (RFC 6750) is used
WWW-Authenticate: Bearer realm="example"
use Basic authentication over TLS
basic knowledge of SQL
Basic usage: see below
password: xxxxxxxx
password: ********
password=...
api_key=xxxxxxxxxxxxxxxx
token: sk-...
password: changeme
password: <redacted>
password = getpass()
password = getpass.getpass("Password: ")
api_key = os.environ["API_KEY"]
api_key=os.environ.get("API_KEY")
api_key = os.getenv("OPENAI_API_KEY")
const token = process.env.GITHUB_TOKEN;
token = request.headers.get("x-token")
token: self.token
password=settings.password,
password=config.db.password
login(user, password=password)
connect(host=host, password=pw)
auth=(user, password)
def login(user: str, password: str) -> Token:
def f(token: str | None = None, api_key: Optional[str] = None)
password: str
api_key: SecretStr
private String password;
let token: string;
if password == other_password:
if (!token) { return null; }
return jwt.decode(token, key)
token = create_token(user)
const token = await getToken();
this.password = password;
password = user.password
secret = secrets.token_hex(32)
secrets.token_urlsafe(16)
SECRET_KEY = get_random_secret_key()
password = input("Enter password: ")
"password": "Password",
"password": "Enter your password",
placeholder="Your password"
<input type="password" name="password">
<label for="password">Password</label>
Password must be at least 8 characters
password: must contain a digit
The password is required
your password is incorrect
the token is expired
token is invalid or expired
password reset link was sent
forgot password?
the secret is that we cache everything
secret sauce: good tests
the token was revoked yesterday
a token is a word piece
tokens per second: 87
token: identifier
next_page_token: CAESBgoEdGVzdA
nextPageToken=CDIQAA
pad_token=[PAD]
eos_token: </s>
"eos_token_id": 50256
csrf protection is enabled
public_key: ssh-ed25519
key: value
keyboard=us
primary_key=id
PRIMARY KEY (id, token)
foreign_key: user_id
sort_key=created_at
partition_key: tenant
cache_key = f"{user}:{page}"
key = "content-type"
access_key_id: see the console
AWS_SECRET_ACCESS_KEY is read from the environment
set OPENAI_API_KEY before you run it
export ANTHROPIC_API_KEY
unset API_KEY
--password-file /run/secrets/db
password_file: /run/secrets/db_password
--token-type bearer
token_type: bearer
"token_type": "Bearer",
token_url: https://auth.example.com/oauth/token
tokenUrl=https://auth.example.com/token
secret: /run/secrets/api
ssl_key: /etc/ssl/private/server.key
passwordPolicy: strong
passwordless login with keys
compass: 180
bypass=true
the compass pointed north: 12 degrees
test passed: 120 ok, 3 skipped
PASS: test_merge (0.12 s)
pass: 12, fail: 0
author: bob
authority=example.com
authorization is checked before the query
Authorization header missing
oauth2: enabled
https://example.com/path?page=2&sort=name
https://example.com:8080/a/b@v2
http://localhost:8682/v1/search
postgres://db.example.com:5432/main
postgres://app@db.example.com/main
redis://10.0.0.5:6379/0
git@github.com:acme/recall.git
ssh://git@github.com/acme/recall.git
docker pull registry.example.com:5000/app@sha256:latest
https://medium.com/@someone/a-post
postgres://user:${DB_PASS}@host/db
postgres://<user>:<password>@<host>/<db>
postgres://user:***@host/db
mysql://{user}:{password}@{host}/{name}
user:pass in the URL is a bad idea
login with user/pass
mail bob@example.com and ann@example.org
1.2.3-rc.4+build.5
v2.0.1 of 2026-03-01T12:00:00Z
#ff8800 and #A1B2C3
10.0.0.1:8080, ::1, fe80::1
sk-learn and scikit-learn
class="sk-estimator-doc-link fitted"
sk-top-container sk-parallel-item-label
hf_hub_download(repo_id="sentence-transformers/all-MiniLM-L6-v2")
pk_live_ keys are public
the prefix is ghp_ or github_pat_
AKIA is the prefix of access keys
keys start with sk-ant-
eyJ is how a JWT begins
xoxb- tokens belong to bots
-----BEGIN RSA PRIVATE KEY----- is how such files begin
if "-----BEGIN PRIVATE KEY-----" in text: raise Leak
text.replace("-----BEGIN PRIVATE KEY-----", "").replace("-----END PRIVATE KEY-----", "")
cookie: accepted
Set-Cookie: theme=dark; Path=/; HttpOnly
Cookie consent: required
session_id=abc
signature: def f(a, b)
sig=SIGTERM
X-Request-Id: 42
Content-Type: application/json; charset=utf-8
curl -u "$USER:$PASS" https://example.com
mysql -u root -p shop
docker run -p 8080:80 app
ssh -p 2222 host
mkdir -p build/out
docker login -u bob --password-stdin
machine-readable login flows
pwd=/home/bob/src
PWD=/home/app
OLDPWD=/tmp
secret_ref: projects/acme/secrets/db
secret: my-app-secret
secretKeyRef: {name: db, key: password}
op://vault/item/password
arn:aws:secretsmanager:eu-west-1:1:secret:db
token = "<YOUR_TOKEN_HERE>"
PASSWORD = None  # set in production
tokens = text.split()
for token in tokens:
num_tokens=512 total_tokens=9000
token_ids=[101, 2023, 102]
"prompt_tokens": 12, "completion_tokens": 30
"""


def lookalikes(seed: int = 11) -> list[str]:
    return [*filter(None, _PLAIN.split("\n")), *_made(MadeUp(seed))]


def _made(made: MadeUp) -> list[str]:
    commit = hashlib.sha1(made.of(ALNUM, 9).encode()).hexdigest()
    sha256 = hashlib.sha256(commit.encode()).hexdigest()
    md5 = hashlib.md5(commit.encode()).hexdigest()
    identity = str(uuid.UUID(bytes=hashlib.md5(b"x").digest()))
    image = base64.b64encode(made.of(ALNUM, 900).encode()).decode()
    edge = "-" * 5
    body = "\n".join(made.key_lines())
    return [
        f"fixed in {commit}",
        f"commit {commit}\nAuthor: Bob",
        f"git show {commit[:9]}",
        f"sha256:{sha256}",
        f"{sha256}  model.onnx",
        f"md5={md5}",
        f'"etag": "{md5}"',
        f"session {identity} ended",
        f"trace_id={made.of(HEX, 32)} span_id={made.of(HEX, 16)}",
        f"docker image sha256:{sha256[:12]}",
        f'<img src="data:image/png;base64,{image}">',
        f"background: url(data:image/svg+xml;base64,{image})",
        f"{edge}BEGIN PUBLIC KEY{edge}\n{body}\n{edge}END PUBLIC KEY{edge}",
        f"{edge}BEGIN CERTIFICATE{edge}\n{body}\n{edge}END CERTIFICATE{edge}",
        f"{edge}BEGIN PGP PUBLIC KEY BLOCK{edge}\n\n{body}\n{edge}END PGP PUBLIC KEY BLOCK{edge}",
        f"ssh-rsa AAAAB3NzaC1yc2E{made.of(BASE64, 300)} bob@laptop",
        f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5{made.of(BASE64, 48)} bob@laptop",
        f'"integrity": "sha512-{made.of(BASE64, 86)}=="',
        f'uv.lock: hash = "sha256:{sha256}"',
        f"age recipient age1{made.of(HEX, 58)}",
        f"https://github.com/acme/recall/commit/{commit}",
        f"https://example.com/files/{identity}/download",
        f"file:///var/lib/{md5}/data",
        f"primary_key={identity}",
        f"cache key {md5} missed",
    ]
