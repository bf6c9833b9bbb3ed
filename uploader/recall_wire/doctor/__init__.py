"""What the doctors of both programs share.

`finding` what a check says · `clock` this machine's beside the bucket's · `within` checks side by
side, for a bounded time · `facts` how a person is told.
"""
