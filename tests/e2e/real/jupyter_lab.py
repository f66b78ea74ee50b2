"""JupyterLab on a free port of loopback, behind a password: `jupyter_lab.py FOLDER PASSWORD`."""

import sys

from jupyter_server.auth import passwd
from jupyterlab.labapp import LabApp

folder, password = sys.argv[1:]
LabApp.launch_instance(
    [
        "--no-browser",
        "--allow-root",
        "--port=0",
        "--ServerApp.ip=127.0.0.1",
        "--ServerApp.allow_remote_access=True",  # names under localhost are none of its own
        f"--ServerApp.root_dir={folder}",
        f"--PasswordIdentityProvider.hashed_password={passwd(password)}",
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]
)
