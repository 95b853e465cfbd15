"""nginx as a program of a test."""

from __future__ import annotations

from pathlib import Path

_CONFIGURATION = """
daemon off;
master_process off;
user root;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ }}
http {{
    client_body_temp_path {folder}/1;
    proxy_temp_path {folder}/2;
    fastcgi_temp_path {folder}/3;
    uwsgi_temp_path {folder}/4;
    scgi_temp_path {folder}/5;
    access_log off;
    server {{
        {server}
    }}
}}
"""


def nginxCommand(path: str, folder: Path, server: str) -> list[str]:
    """
    Write the configuration of an nginx with one server, and return the command that starts it.

    :param path: the program.
    :param folder: belongs to it.
    :param server: the directives of the server.
    """
    configuration = folder / "conf"
    configuration.write_text(_CONFIGURATION.format(folder=folder, server=server))
    return [path, "-p", str(folder), "-e", f"{folder}/error.log", "-c", str(configuration)]
