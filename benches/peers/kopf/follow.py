"""An operator for CloudOperations on kopf, to measure cloudop against. The README explains its choices."""

import asyncio
import base64
import datetime
import os
import ssl
import time
from urllib.parse import quote

import aiohttp
import kopf
import yaml

SECRET_SECONDS = 60
DEFAULT_INTERVAL = 15
ENDS = ("Succeeded", "Failed")
PHASES = {
    "PENDING": "Pending", "INIT": "Pending", "INITIALIZING": "Pending", "CREATED": "Pending", "QUEUED": "Pending",
    "DONE": "Succeeded", "SUCCEEDED": "Succeeded", "SUCCESS": "Succeeded", "COMPLETED": "Succeeded",
    "FAILED": "Failed", "ERROR": "Failed", "CANCEL": "Failed", "CANCELLED": "Failed",
}


class Kubernetes:
    """The few calls that kopf has no function for, on one shared session."""

    def __init__(self):
        with open(os.environ["KUBECONFIG"]) as file:
            config = yaml.safe_load(file)
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        context = ssl.create_default_context(cafile=cluster["certificate-authority"])
        context.load_cert_chain(user["client-certificate"], user["client-key"])
        self.url = cluster["server"]
        self.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context, limit=64))

    async def secret(self, namespace, name):
        async with self.session.get(f"{self.url}/api/v1/namespaces/{namespace}/secrets/{name}") as response:
            response.raise_for_status()
            data = (await response.json())["data"]
        return {key: base64.b64decode(value) for key, value in data.items()}

    async def write_status(self, namespace, name, status):
        url = f"{self.url}/apis/cloudop.dev/v1alpha1/namespaces/{namespace}/cloudoperations/{name}/status"
        headers = {"Content-Type": "application/merge-patch+json"}
        async with self.session.patch(url, json={"status": status}, headers=headers) as response:
            if response.status != 404:
                response.raise_for_status()


class Clouds:
    """Secrets, read once a minute at most, and one session for all accounts that trust the same authority."""

    def __init__(self, kubernetes):
        self.kubernetes = kubernetes
        self.secrets = {}
        self.sessions = {}

    async def account(self, namespace, name):
        known = self.secrets.get((namespace, name))
        if known is None or time.monotonic() - known[0] > SECRET_SECONDS:
            # The task is kept, not its result: all who wait for one Secret share one request.
            task = asyncio.ensure_future(self.kubernetes.secret(namespace, name))
            known = self.secrets[namespace, name] = (time.monotonic(), task)
        try:
            return await asyncio.shield(known[1])
        except Exception:
            self.secrets.pop((namespace, name), None)
            raise

    def session(self, authority):
        if authority not in self.sessions:
            context = ssl.create_default_context(cadata=authority.decode() or None)
            connector = aiohttp.TCPConnector(ssl=context, limit=64, keepalive_timeout=90)
            timeout = aiohttp.ClientTimeout(total=20, connect=5)
            self.sessions[authority] = aiohttp.ClientSession(connector=connector, timeout=timeout)
        return self.sessions[authority]

    async def ask(self, namespace, spec):
        provider, path, bearer, read = request(spec)
        account = await self.account(namespace, spec["credentialsRef"]["name"])
        token = account["token"].decode().strip()
        headers = {"Authorization": f"Bearer {token}"} if bearer else {"X-Auth-Token": token}
        url = account["endpoint"].decode().strip().rstrip("/") + path
        session = self.session(account.get("ca.crt", b""))
        async with session.get(url, headers=headers, allow_redirects=False) as response:
            response.raise_for_status()
            return provider, read(await response.json(), spec["operationId"])


def request(spec):
    """The provider, the path to ask for, whether the token is a bearer's, and how to read the reply."""
    ((provider, given),) = spec["provider"].items()
    given = {key: quote(value, safe="") for key, value in given.items() if isinstance(value, str)}
    operation = quote(spec["operationId"], safe="")
    match provider:
        case "numspotKubernetes" if "clusterId" in given:
            path = f"/kubernetes/spaces/{given['spaceId']}/clusters/{given['clusterId']}/operations"
            return provider, path, True, read_numspot_list
        case "numspotKubernetes":
            return provider, f"/kubernetes/spaces/{given['spaceId']}/operations/{operation}", True, read_numspot
        case "huaweiCceUpgrade":
            cluster = f"/api/v3/projects/{given['projectId']}/clusters/{given['clusterId']}"
            return provider, f"{cluster}/operation/upgradeworkflows/{operation}", False, read_upgrade
        case "huaweiUcsFederation":
            return provider, f"/v1/clustergroups/{operation}/federations/progress", False, read_job
        case "otcCceJob":
            return provider, f"/api/v3/projects/{given['projectId']}/jobs/{operation}", False, read_job
        case "sbercloudOpenshiftTask":
            return provider, f"/openshift/v1/{given['serviceInstanceId']}/tasks/{operation}", True, read_task
    raise kopf.PermanentError(f"no provider that this operator knows: {provider}")


def seen(word, kind=None, progress=None, target=None, start=None, end=None, phase=None):
    status = {"phase": phase or PHASES.get(word.upper(), "Running"), "upstreamState": word}
    if kind:
        status["operationType"] = kind
    if progress:
        status["progress"] = {"message": progress}
    if target := {key: value for key, value in (target or {}).items() if value}:
        status["target"] = target
    if start:
        status["startTime"] = whole_seconds(start)
    if end and status["phase"] in ENDS:
        status["completionTime"] = whole_seconds(end)
    return status


def read_numspot(reply, _):
    start = reply.get("startTime") or reply.get("createTime")
    target = {"url": reply.get("target")}
    return seen(reply["status"], reply.get("operationType"), reply.get("progress"), target, start, reply.get("endTime"))


def read_numspot_list(reply, operation):
    for listed in reply["operations"]:
        if listed["id"].lower() == operation.lower():
            return read_numspot(listed, operation)
    raise LookupError("the operation is not among those listed")


def read_upgrade(reply, _):
    meta, word = reply["metadata"], reply["status"]["phase"]
    # A task of the workflow failed: it waits for somebody to retry or cancel it.
    phase = "Blocked" if word == "Pending" else None
    target = {"id": reply["spec"].get("clusterID")}
    times = meta.get("creationTimestamp"), meta.get("updateTimestamp")
    return seen(word, reply.get("kind"), None, target, *times, phase)


def read_job(reply, _):
    meta, spec, status = reply["metadata"], reply["spec"], reply["status"]
    target = {"id": spec.get("resourceID"), "name": spec.get("resourceName")}
    times = meta.get("creationTimestamp"), meta.get("updateTimestamp")
    return seen(status["phase"], spec.get("type"), status.get("reason"), target, *times)


def read_task(reply, _):
    task = reply["task"]
    error = task.get("error") or {}
    phase = "Failed" if error else None
    times = task.get("createdAt"), task.get("modifiedAt")
    return seen(task["status"], task.get("command"), error.get("message"), None, *times, phase)


def whole_seconds(text):
    """What the API server stores of a time; the clouds write it in several ways."""
    text = text.replace(" UTC", "").replace(" +0000", "").strip().replace(" ", "T")
    head = text.rstrip("Z").split(".")[0]
    return datetime.datetime.fromisoformat(head).strftime("%Y-%m-%dT%H:%M:%SZ")


def conditions(status, generation, before):
    """The conditions of a status; the times of those that stay as they were stay too."""
    phase, word = status["phase"], status.get("upstreamState")
    if word is None:
        message = status.pop("fault")
        values = [("UpstreamReachable", "False", "Unreachable", message), ("Succeeded", "Unknown", "PollFailing", message)]
    else:
        result = {"Succeeded": "True", "Failed": "False"}.get(phase, "Unknown")
        reason = {"Succeeded": "OperationSucceeded", "Failed": "OperationFailed"}.get(phase, phase)
        message = f"the cloud says {word}"
        values = [
            ("UpstreamReachable", "True", "PollSucceeded", "the cloud answers"),
            ("Succeeded", result, reason, message),
            ("Finished", "True" if phase in ENDS else "False", reason, message),
            ("Ready", result, reason, message),
        ]
        if phase not in ENDS:
            values.append(("Reconciling", "True", "Progressing", message))
    old = {condition["type"]: condition for condition in before}
    made = {}
    for kind, value, reason, message in values:
        same = old.get(kind, {}).get("status") == value
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        made[kind] = {
            "type": kind, "status": value, "reason": reason, "message": message, "observedGeneration": generation,
            "lastTransitionTime": old[kind]["lastTransitionTime"] if same else now,
        }
    if word is None:
        made = old | made
    return list(made.values())


@kopf.on.startup()
async def start(settings, memo, **_):
    # kopf would make an Event of every line that it logs about an object.
    settings.posting.enabled = False
    memo.kubernetes = Kubernetes()
    memo.clouds = Clouds(memo.kubernetes)


@kopf.on.cleanup()
async def stop(memo, **_):
    for session in [memo.kubernetes.session, *memo.clouds.sessions.values()]:
        await session.close()


@kopf.daemon("cloudop.dev", "v1alpha1", "cloudoperations", cancellation_timeout=1)
async def follow(memo, spec, status, meta, namespace, name, stopped, **_):
    written = dict(status)
    while not stopped and written.get("phase") not in ENDS:
        if not spec.get("suspend"):
            try:
                provider, found = await memo.clouds.ask(namespace, spec)
            except (aiohttp.ClientError, asyncio.TimeoutError, LookupError, TypeError, ValueError) as error:
                ((provider, _),) = spec["provider"].items()
                found = {"phase": written.get("phase", "Pending"), "fault": str(error) or type(error).__name__}
            generation = meta["generation"]
            wanted = found | {"provider": provider, "observedGeneration": generation}
            wanted["conditions"] = conditions(wanted, generation, written.get("conditions", []))
            if any(written.get(key) != value for key, value in wanted.items()):
                await memo.kubernetes.write_status(namespace, name, wanted)
                written |= wanted
        await stopped.wait(spec.get("pollIntervalSeconds", DEFAULT_INTERVAL))
