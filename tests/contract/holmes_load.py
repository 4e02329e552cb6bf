"""Let the real HolmesGPT load a toolset file as its server does, and tell as JSON what it made of it.

    python holmes_load.py FILE [--check] [--dns NAME=IP]… [--then FILE]… [--invoke TOOL JSON]…
    python holmes_load.py --each    (a path a line on standard input, an answer a line)

Runs with the Python of HolmesGPT's own environment (`.testbed/holmesgpt/bin/python`), not with the project's.
Tests use it through the fixture `holmes`. It prints:

    outcome           "loaded"; "failed" (some toolset of the file did); "refused" (the file as a whole)
    refused           why the whole file was refused, or null
    toolsets          by name, for each that FILE names: known (built-in or custom), type, enabled, status,
                      error, tools; url or instances (name, url, healthy, reason); config_check (its
                      configuration against HolmesGPT's own classes, no request sent)
    dropped           names in FILE of which HolmesGPT made nothing
    enabled_toolsets, shadowed_tools, errors, warnings
    refreshes         for each --then: what HolmesGPT's periodic refresh did once the file had become like
                      that one: changes (name, old status, new status), picked_up, error, toolsets as above
    invocations       for each --invoke, after the refreshes: status, error, data

--dns answers for a name as the DNS of a cluster would.
Without --check nothing is asked of the backends and every healthy status is "not-checked".
"""

# ruff: noqa: PLC0415 - HolmesGPT reads its environment when imported, and has no API for much of this.
import argparse
import json
import logging
import os
import shutil
import socket
import sys
import tempfile
from pathlib import Path
from unittest.mock import MagicMock

URL_FIELDS = ("api_url", "url", "prometheus_url", "connection_url", "broker", "domain")
DATA_LIMIT = 100_000


class Capture(logging.Handler):
    """Keeps what HolmesGPT logs: it tells much of its trouble nowhere else."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.lines = []

    def emit(self, record):
        cause = record.exc_info and record.exc_info[1]
        message = record.getMessage() + (f" [{type(cause).__name__}: {cause}]" if cause else "")
        self.lines.append((record.levelno >= logging.ERROR, message))


def names_in(path):
    """What the file names, read without HolmesGPT: a file that it refuses is told of too."""
    import yaml
    from holmes.core.toolset_manager import DEPRECATED_TOOLSET_NAMES

    try:
        document = yaml.safe_load(path.read_text())
        names = [*(document.get("toolsets") or {}), *(document.get("mcp_servers") or {})]
    except (yaml.YAMLError, UnicodeError, AttributeError, TypeError):
        return []
    return [DEPRECATED_TOOLSET_NAMES.get(name, name) for name in map(str, names)]


def url_of(config):
    return next((str(config[field]) for field in URL_FIELDS if config.get(field)), None)


def config_of(toolset):
    config = toolset.config
    return config.model_dump() if hasattr(config, "model_dump") else dict(config or {})


def config_classes(toolset, config):
    from holmes.plugins.toolsets.mcp.toolset_mcp import MCPConfig
    from holmes.plugins.toolsets.prometheus.prometheus import PrometheusToolset

    if isinstance(toolset, PrometheusToolset):
        return [toolset.determine_prometheus_class(config, toolset.subtype)]
    if toolset.type is not None and toolset.type.value == "mcp":
        return [MCPConfig]
    return list(getattr(toolset, "config_classes", None) or [])


def check_config(toolset, config):
    """Hold one configuration against HolmesGPT's own classes."""
    config = json.loads(json.dumps(config, default=str))
    error = None
    try:
        for cls in config_classes(toolset, config):
            try:
                made = cls(**config)
            except Exception as e:  # noqa: BLE001 - whatever HolmesGPT raises is the finding
                error = e
            else:
                # HolmesGPT takes fields that it does not know and ignores them, so a typing error is silent.
                return {
                    "ok": True,
                    "class": cls.__name__,
                    "ignored": sorted(getattr(made, "model_extra", None) or {}),
                }
    except Exception as e:  # noqa: BLE001
        error = e
    return {"ok": error is None, **({"error": str(error)} if error else {})}


def instances_of(toolset, config, checked):
    """The endpoints of a toolset that can have several, or None."""
    from holmes.plugins.toolsets.multi_instance import MultiInstanceToolset, _parse_instances

    if isinstance(toolset, MultiInstanceToolset):
        instances = []
        for name, flat in _parse_instances(config):
            instance = {
                "name": name,
                "url": url_of(flat),
                "config_check": check_config(toolset._child_cls(), flat),
            }
            if checked:
                instance |= {
                    "healthy": name in toolset._children,
                    "reason": toolset._offline_instances.get(name),
                }
            instances.append(instance)
        return instances
    if isinstance(config.get("clusters"), list):  # rabbitmq/core, kafka/admin
        live = getattr(toolset.config, "clusters", None) or []
        instances = []
        for number, cluster in enumerate(config["clusters"]):
            instance = {"name": cluster.get("id") or cluster.get("name"), "url": url_of(cluster)}
            if checked and number < len(live) and hasattr(live[number], "connection_status"):
                instance["healthy"] = str(live[number].connection_status).endswith("SUCCESS")
            elif checked and hasattr(toolset, "clients"):
                instance["healthy"] = instance["name"] in toolset.clients
            instances.append(instance)
        return instances
    return None


def describe(toolset, builtin, checked):
    from holmes.core.tools import ToolsetStatusEnum
    from holmes.plugins.toolsets.multi_instance import MultiInstanceToolset

    failed = toolset.status == ToolsetStatusEnum.FAILED
    config = config_of(toolset)
    told = {
        "known": "built-in" if toolset.name in builtin else "custom",
        "type": toolset.type.value if toolset.type else None,
        "enabled": toolset.enabled,
        "status": toolset.status.value if checked or failed else "not-checked",
        "error": toolset.error,
        "tools": sorted(tool.name for tool in toolset.tools or []),
        "url": url_of(config),
    }
    try:
        told["instances"] = instances_of(toolset, config, checked)
    except Exception as e:  # noqa: BLE001 - the finding again
        told |= {"instances": [], "config_check": {"ok": False, "error": str(e)}}
        return told
    # (One that HolmesGPT wraps for several instances is checked instance by instance.)
    single = not isinstance(toolset, MultiInstanceToolset) and (checked or not failed)
    told["config_check"] = check_config(toolset, config) if single else {"ok": True}
    return told


def is_bad(told):
    checks = [told["config_check"], *(i.get("config_check", {"ok": True}) for i in told["instances"] or [])]
    return told["status"] == "failed" or not all(check["ok"] for check in checks)


def shadowed_tools(executor):
    """Tools that HolmesGPT cannot call because another toolset has one of that name."""
    return [
        {"tool": tool.name, "of": toolset.name, "shadowed_by": executor.get_toolset_name(tool.name)}
        for toolset in executor.enabled_toolsets
        for tool in toolset.tools
        if executor.get_toolset_name(tool.name) not in (toolset.name, None)
        and not getattr(tool, "mcp_tool_name", "")
    ]


def invoke(executor, name, arguments):
    from holmes.core.llm import LLM
    from holmes.core.tools import ToolInvokeContext

    tool = executor.get_tool_by_name(name)
    if tool is None:
        return {"tool": name, "status": "not-found", "error": None, "data": ""}
    if error := executor.ensure_toolset_initialized(name):
        return {"tool": name, "status": "toolset-unavailable", "error": error, "data": ""}
    llm = MagicMock(spec=LLM)  # tools ask it only how long an answer may be
    llm.model = "none"
    llm.get_context_window_size.return_value = 200_000
    llm.get_max_token_count_for_single_tool.return_value = 25_000
    llm.count_tokens.return_value.total_tokens = 100
    context = ToolInvokeContext(
        llm=llm, max_token_count=25_000, tool_call_id="1", tool_name=name, tool_number=1
    )
    result = tool.invoke(arguments, context)
    data = result.get_stringified_data()[:DATA_LIMIT]
    return {
        "tool": name,
        "toolset": executor.get_toolset_name(name),
        "status": result.status.value,
        "error": result.error,
        "data": data,
    }


def refresh(config, builtin, file, edited):
    """Edit the file, as a rename does, and let HolmesGPT look as it does every five minutes."""
    from holmes.core.tools import SERVER_TOOLSET_TAGS

    shutil.copyfile(edited, file.with_suffix(".new"))
    file.with_suffix(".new").replace(file)
    before, told = config._cached_tool_executor, {"file": edited.name, "changes": [], "error": None}
    try:
        told["changes"] = config.refresh_tool_executor(dal=None, toolset_tag_filter=SERVER_TOOLSET_TAGS)
    except Exception as e:  # noqa: BLE001 - the server logs it and keeps what it has
        told["error"] = f"{type(e).__name__}: {e}"
    told["picked_up"] = config._cached_tool_executor is not before
    current = {toolset.name: toolset for toolset in config._cached_tool_executor.toolsets}
    told["toolsets"] = {
        name: describe(current[name], builtin, True) for name in names_in(edited) if name in current
    }
    return told


def load(options, file, log):
    import holmes
    from holmes.config import Config
    from holmes.core.tools import SERVER_TOOLSET_TAGS
    from holmes.plugins.toolsets import load_builtin_toolsets

    told = {"holmes_version": holmes.__version__, "outcome": "refused", "refused": None, "toolsets": {}}
    names, executor, builtin = names_in(file), None, {toolset.name for toolset in load_builtin_toolsets(None)}
    log.lines.clear()  # what importing it and its own toolsets say is not about the file
    try:
        # The server's Config.load_from_env() sets no field about toolsets: this is the same without an LLM.
        config = Config()
        if options.check:
            executor = config.create_server_tool_executor(dal=None)
            toolsets = executor.toolsets
        else:
            toolsets = config.toolset_manager._list_all_toolsets(
                check_prerequisites=False, enable_all_toolsets=False, toolset_tags=SERVER_TOOLSET_TAGS
            )
    except (Exception, SystemExit) as e:  # noqa: BLE001 - an exception out of the loader is how a file is refused
        return told | {"refused": f"{type(e).__name__}: {e}", "dropped": names}

    found = {toolset.name: toolset for toolset in toolsets}
    told["toolsets"] = {
        name: describe(found[name], builtin, options.check) for name in names if name in found
    }
    told["dropped"] = [name for name in names if name not in found]
    told["outcome"] = "failed" if told["dropped"] or any(map(is_bad, told["toolsets"].values())) else "loaded"
    if executor is not None:
        told["enabled_toolsets"] = sorted(toolset.name for toolset in executor.enabled_toolsets)
        told["shadowed_tools"] = shadowed_tools(executor)
        told["refreshes"] = [refresh(config, builtin, file, edited) for edited in options.then]
        executor = config._cached_tool_executor
        told["invocations"] = [invoke(executor, tool, json.loads(text)) for tool, text in options.invoke]
    return told


def answer_dns(names):
    """The names of a cluster's Services resolve inside of it only; everything else stays as it is."""
    resolve = socket.getaddrinfo

    def answer(host, *rest, **more):
        name = host.decode() if isinstance(host, bytes) else host
        return resolve(names.get(name, host), *rest, **more)

    socket.getaddrinfo = answer


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--each", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--dns", action="append", default=[], metavar="NAME=IP")
    parser.add_argument("--then", type=Path, action="append", default=[], metavar="FILE")
    parser.add_argument("--invoke", nargs=2, action="append", default=[], metavar=("TOOL", "JSON"))
    options = parser.parse_args()
    if not options.check and (options.then or options.invoke):
        parser.error("--then and --invoke need --check: HolmesGPT uses no toolset that it has not checked")

    answer_dns(dict(pair.split("=") for pair in options.dns))
    with tempfile.TemporaryDirectory() as directory:
        # A copy, because --then edits it.
        file = Path(directory, options.file.name if options.file else "custom_toolset.yaml")
        os.environ["CUSTOM_TOOLSET_LOCATION"] = str(file)
        os.environ["HOLMES_CONFIGPATH_DIR"] = directory  # not the user's own configuration
        os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # no request to the internet at import
        os.environ.setdefault("KUBECONFIG", "/nonexistent")
        log = Capture()
        logging.getLogger().addHandler(log)
        logging.lastResort = None
        for path in map(str.strip, sys.stdin) if options.each else [options.file]:
            shutil.copyfile(path, file)
            told = load(options, file, log)
            for key, serious in (("errors", True), ("warnings", False)):
                told[key] = [message for is_error, message in log.lines if is_error == serious]
            print(json.dumps(told, default=str), flush=True)
    os._exit(0)  # a check that hangs holds its thread, and that would hold the exit


if __name__ == "__main__":
    main()
