"""Whether a site is healthy: asks for its health, and wants this release and no trouble."""

import json
import sys
import urllib.request

url, wanted = sys.argv[1:]
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
try:
    with opener.open(url, timeout=10) as answer:
        health = json.load(answer)
except (OSError, ValueError) as why:
    sys.exit(f"health check failed: {url}: {why}")
print(f"{url}: {health}")
if health != {"release": wanted, "status": "ok"}:
    sys.exit(f"health check failed: {wanted} is wanted and has to be ok")
