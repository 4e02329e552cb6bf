"""What `helm test` runs in the cluster: is a new Service discovered, and is what is generated guarded?

It plays a backend of a type of its own behind the Service `dynamic-toolset-test`. Such a type reaches
HolmesGPT only from trusted namespaces, so nothing of the test gets to the LLM. Only the standard library:
it runs in the image.
"""

import json
import os
import socket
import ssl
import sys
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

ACCOUNT = os.environ.get("ACCOUNT_DIR", "/var/run/secrets/kubernetes.io/serviceaccount")
API = "https://{KUBERNETES_SERVICE_HOST}:{KUBERNETES_SERVICE_PORT}"
SERVICE = os.environ.get("TEST_SERVICE", "dynamic-toolset-test")


class Backend(BaseHTTPRequestHandler):
    """A healthy service, with nothing to it."""

    def do_GET(self):
        """Healthy, whatever is asked."""
        self.send_response(200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"ok\n")

    def log_message(self, *_):
        """Nothing: the test's own lines are what is to be read."""


def config_map(namespace, body=None):
    """The generated ConfigMap; with a body, what becomes of patching it (a dry run). Status and answer."""
    host = os.environ["KUBERNETES_SERVICE_HOST"]
    host = f"[{host}]" if ":" in host else host
    api = API.format(**{**os.environ, "KUBERNETES_SERVICE_HOST": host})
    url = f"{api}/api/v1/namespaces/{namespace}/configmaps/kubernaut-toolset-config"
    with open(f"{ACCOUNT}/token") as file:
        headers = {"Authorization": f"Bearer {file.read().strip()}"}
    method = "GET"
    if body is not None:
        method, url = "PATCH", f"{url}?dryRun=All"
        body = json.dumps(body).encode()
        headers["Content-Type"] = "application/merge-patch+json"
    request = urllib.request.Request(url, body, headers, method=method)
    context = ssl.create_default_context(cafile=f"{ACCOUNT}/ca.crt")
    try:
        with urllib.request.urlopen(request, timeout=10, context=context) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        text = error.read().decode(errors="replace")
        try:
            return error.code, json.loads(text)
        except ValueError:
            return error.code, {"message": text}


def discovered(namespace, deadline):
    """Whether our Service is listed in time, and verified."""
    last = "nothing was asked"
    while time.monotonic() < deadline:
        try:
            status, answer = config_map(namespace)
        except OSError as error:
            last = f"the API server does not answer: {error}"
        else:
            last = answer.get("message", "the ConfigMap does not list it")
            listed = json.loads((answer.get("data") or {}).get("toolset.json") or "{}").get("tools", [])
            for tool in listed if status == 200 else ():  # noqa: PLR2004 - OK
                if tool.get("namespace") == namespace and tool.get("name") == SERVICE:
                    last = f"its status is {tool.get('status')}"
                    if tool.get("status") == "verified":
                        print(f"ok: Service {namespace}/{SERVICE} was discovered and verified")
                        return True
        time.sleep(0.5)
    print(f"FAILED: Service {namespace}/{SERVICE} was not discovered and verified in time: {last}")
    return False


def guarded(namespace, guard):
    """Whether a stranger's write is refused, and by the guard: RBAC lets this account patch."""
    if guard == "off":
        print("not checked: the guard is off, so whoever RBAC lets may change what HolmesGPT is told")
        return True
    status, answer = config_map(namespace, {"data": {"custom_toolset.yaml": "toolsets: {}"}})
    message = answer.get("message", "")
    refused = status in {400, 403, 422} and "cannot patch resource" not in message
    print(
        f"{'ok: a write was refused' if refused else 'FAILED: a write was not refused by the guard'}: "
        f"{status} {message or 'accepted'}"
    )
    return refused


def main():
    """Exit code 0 if all is well."""
    namespace = os.environ["TEST_NAMESPACE"]
    deadline = time.monotonic() + float(os.environ["TEST_SECONDS"])
    address = os.environ.get("TEST_ADDRESS", "0.0.0.0")
    ThreadingHTTPServer.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
    server = ThreadingHTTPServer((address, int(os.environ.get("TEST_PORT", "8080"))), Backend)
    Thread(target=server.serve_forever, daemon=True).start()
    found = discovered(namespace, deadline)
    sys.exit(0 if found and guarded(namespace, os.environ["TEST_GUARD"]) else 1)


if __name__ == "__main__":
    main()
