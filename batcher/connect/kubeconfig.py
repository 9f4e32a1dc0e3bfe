"""What a context of a kubeconfig says, or a Pod's service account; and every reason why it cannot be used."""

import base64
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from batcher.connect.access import Access, Plugin, Secret, Trust
from batcher.errors import ConfigError

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_PLUGIN_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
_TOLD_TO_PLUGINS = {
    "server": "server",
    "tls-server-name": "tls-server-name",
    "certificate-authority-data": "certificate-authority-data",
    "proxy-url": "proxy-url",
}


def read_service_account(folder: Path, trust: Trust) -> Access:
    """Return what the Pod's service account in ``folder`` gives. Raises :class:`ConfigError` outside of a Pod."""
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT")
    if not host or not (folder / "token").exists():
        raise ConfigError(["inCluster: true, but this is no Pod with a service account; give a kubeconfig"])
    address = f"[{host}]" if ":" in host else host
    return Access(f"https://{address}:{port}", token_file=folder / "token", ca_file=folder / "ca.crt", trust=trust)


def read_kubeconfig(path: Path, context: str | None, trust: Trust = Trust()) -> Access:  # noqa: B008  frozen
    """Return what ``context`` of the kubeconfig ``path`` says; relative paths in it are relative to it.

    Raises :class:`ConfigError` naming the file and what to do.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        contexts = {entry["name"]: entry["context"] for entry in document["contexts"]}
        chosen = context or document.get("current-context")
        if chosen not in contexts:
            known = ", ".join(sorted(contexts)) or "none"
            raise ConfigError([f"context {chosen!r} is not there; known: {known}"], str(path))
        cluster = _named(document, "clusters", "cluster", contexts[chosen]["cluster"])
        user = _named(document, "users", "user", contexts[chosen].get("user", "")) or {}
        return _access(path, cluster, user, trust)
    except OSError as error:
        raise ConfigError([f"cannot be read: {error.strerror}"], str(path)) from None
    except yaml.YAMLError as error:
        raise ConfigError([f"not a kubeconfig: no YAML{_where(error)}"], str(path)) from None
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ConfigError(
            [f"not a kubeconfig: {type(error).__name__} {' '.join(str(error).split())}"], str(path)
        ) from None


def _where(error: yaml.YAMLError) -> str:
    """Where it is, and never what is there: the text of the error shows the line, which may be that of a token."""
    mark = getattr(error, "problem_mark", None)
    return f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""


def _named(document: dict[str, Any], group: str, kind: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next((e[kind] for e in document.get(group) or [] if e["name"] == name), {})
    return found


def _access(path: Path, cluster: dict[str, Any], user: dict[str, Any], trust: Trust) -> Access:
    unsupported = [key for key in ("auth-provider", "username") if key in user]
    if unsupported:
        what = f"user has {unsupported[0]}: use a token, a token file, a client certificate or exec"
        raise ConfigError([what], str(path))
    if cluster.get("insecure-skip-tls-verify") and not trust.insecure:
        what = "insecure-skip-tls-verify: give certificate-authority, or set insecureSkipTLSVerify in our configuration"
        raise ConfigError([what], str(path))
    authority, certificate, key = "certificate-authority", "client-certificate", "client-key"
    folder = path.parent
    return Access(
        server=_server(cluster["server"], str(path)),
        token=Secret(str(user["token"])) if user.get("token") else None,
        token_file=_path(folder, user.get("tokenFile")),
        ca_file=_path(folder, cluster.get(authority)),
        ca_data=(_data(cluster.get(f"{authority}-data")) or b"").decode("ascii") or None,
        certificate=_data(user.get(f"{certificate}-data")) or _path(folder, user.get(certificate)),
        key=_data(user.get(f"{key}-data")) or _path(folder, user.get(key)),
        server_name=cluster.get("tls-server-name"),
        plugin=_plugin(user["exec"], cluster, trust, str(path)) if user.get("exec") else None,
        trust=trust,
        source=path,
    )


def _server(url: str, source: str) -> str:
    """The server's URL. One that has a password would show it in each error, so it is refused, and not repeated."""
    wrong = ConfigError(["server is no URL such as https://127.0.0.1:6443"], source)
    try:
        parts = urlsplit(url)
        is_reachable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise wrong from None
    if not is_reachable:
        raise wrong
    if "@" in parts.netloc:
        raise ConfigError(["server has a user or a password in its URL: use a token or a client certificate"], source)
    return url


def _plugin(said: dict[str, Any], cluster: dict[str, Any], trust: Trust, source: str) -> Plugin:
    command, version = said["command"], said.get("apiVersion", "")
    if command not in trust.exec_allowed:
        hint = f"add {command} to credentials.execAllowed" if command.startswith("/") else "give its absolute path"
        raise ConfigError([f"user has exec: {command!r} is not allowed to run; {hint}"], source)
    if version not in _PLUGIN_VERSIONS:
        raise ConfigError([f"exec has apiVersion {version!r}; known: {', '.join(_PLUGIN_VERSIONS)}"], source)
    told = {field: cluster[name] for name, field in _TOLD_TO_PLUGINS.items() if cluster.get(name)}
    return Plugin(
        command=command,
        arguments=tuple(str(argument) for argument in said.get("args") or ()),
        environment=tuple((str(each["name"]), str(each["value"])) for each in said.get("env") or ()),
        api_version=version,
        cluster=told if said.get("provideClusterInfo") else None,
    )


def _path(folder: Path, name: str | None) -> Path | None:
    return folder / name if name else None


def _data(text: str | None) -> bytes | None:
    return base64.b64decode("".join(text.split()), validate=True) if text else None
