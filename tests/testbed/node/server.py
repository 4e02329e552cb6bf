"""HolmesGPT's server process, as far as toolsets go: its own configuration, checks, refresh and admin API.

HolmesGPT publishes its package, and not the file server.py that its image starts. This stands for it: the
same calls of the package, in the same order, and no LLM. `GET /toolsets` tells what HolmesGPT's executor
holds at the moment.
"""

import logging
import os
import sys
import threading
import time
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from holmes.admin.admin_api import init_admin_app
from holmes.common.env_vars import (
    HOLMES_HOST,
    HOLMES_PORT,
    TOOLSET_STATUS_REFRESH_INTERVAL_SECONDS,
)
from holmes.config import Config
from holmes.core.supabase_dal import SupabaseDal
from holmes.core.tools import SERVER_TOOLSET_TAGS

logging.basicConfig(level=logging.INFO, format="%(asctime)s.%(msecs)03d %(levelname)s %(message)s")
log = logging.getLogger("server")
location = os.environ.get("CUSTOM_TOOLSET_LOCATION", "")
log.info("HolmesGPT starts; %s exists: %s", location, Path(location).is_file())
config = Config.load_from_env()
dal = SupabaseDal("node")
app = FastAPI()
init_admin_app(app, config, dal)


@app.get("/healthz")
@app.get("/readyz")
def healthy() -> dict[str, str]:
    """It answers."""
    return {"status": "ok"}


@app.get("/toolsets")
def toolsets() -> dict[str, dict[str, str]]:
    """By name: status, error, and the configuration as text."""
    return {
        toolset.name: {
            "status": toolset.status.value,
            "error": str(toolset.error or ""),
            "config": str(toolset.config or ""),
        }
        for toolset in config.create_server_tool_executor(dal).toolsets
    }


def refresh() -> None:
    """Look at the file again and again, as the server does."""
    while True:
        time.sleep(TOOLSET_STATUS_REFRESH_INTERVAL_SECONDS)
        try:
            changes = config.refresh_tool_executor(dal, toolset_tag_filter=SERVER_TOOLSET_TAGS)
            log.info("refreshed: %s", changes)
        except Exception:
            log.exception("the refresh failed")


config.create_server_tool_executor(dal)
if TOOLSET_STATUS_REFRESH_INTERVAL_SECONDS > 0:
    threading.Thread(target=refresh, daemon=True).start()
sys.exit(uvicorn.run(app, host=HOLMES_HOST, port=HOLMES_PORT, log_level="warning"))
