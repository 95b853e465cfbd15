"""How the tunnels of others are started."""

from __future__ import annotations

import os
import pwd
import re
import resource
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.programs import BenchmarkError, Program, Programs, find, findCargos, freePort, run, toldVersion
from benchmarks.tunnels import Address, Tunnel

#: The control port of the original, which knows no other.
CONTROL_PORT: Final = 7835

#: How long a program may take to make a key, in seconds.
_KEY_TIMEOUT: Final = 20.0


@dataclass(frozen=True, slots=True)
class Original:
    """The original bore, in Rust. Its control port is 7835, always."""

    key: str = "original"
    title: str = "original bore"
    install: str = "cargo install bore-cli, or name its path in BORE_RUST"
    encrypted: bool = False

    def _path(self) -> str | None:
        return findCargos("bore", "BORE_RUST")

    def version(self) -> str | None:
        path = self._path()
        return toldVersion([path, "--version"], r"(\d\S*)") if path else None

    def start(self, programs: Programs, host: str, local: Address) -> Tunnel:
        path = self._path()
        assert path is not None
        control, public = Address(host, CONTROL_PORT), Address(host, freePort(host))
        server = programs.start([path, "server", "--bind-addr", host])
        server.waitUntilListening(*control)
        return Tunnel(public, local, {"server": server, "client": self.client(programs, local, public)}, control)

    def client(self, programs: Programs, local: Address, public: Address) -> Program:
        """Start a client of the server at the host of the public port."""
        path = self._path()
        assert path is not None
        words = [path, "local", str(local.port), "--local-host", local.host, "--to", public.host]
        client = programs.start([*words, "--port", str(public.port)])
        client.waitUntilListening(*public)
        return client


@dataclass(frozen=True, slots=True)
class HAProxy:
    """
    Two HAProxies in a row: no tunnel, but as many hops as one, by a relay that is known to be fast.

    It splices always: this is how it is at its best, ``option splice-auto`` does not find loopback's streams worth it.
    It has as many threads as it chooses itself, one for each core.
    """

    key: str = "haproxy"
    title: str = "2 × HAProxy"  # noqa: RUF001
    install: str = "apt install haproxy"
    encrypted: bool = False

    def version(self) -> str | None:
        path = find("haproxy")
        return toldVersion([path, "-v"], r"version (\d[\w.]*)") if path else None

    def start(self, programs: Programs, host: str, local: Address) -> Tunnel:
        public, middle = Address(host, freePort(host)), Address(host, freePort(host))
        client = self._one(programs, "client", middle, local)
        server = self._one(programs, "server", public, middle)
        return Tunnel(public, local, {"server": server, "client": client})

    def _one(self, programs: Programs, role: str, listen: Address, to: Address) -> Program:
        path = find("haproxy")
        assert path is not None
        pipes = 256
        # Two descriptors for a visitor, two for a pipe, and some: more than it may have, and it does not start.
        visitors = (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 2 * pipes - 300) // 2
        config = programs.folder / f"haproxy-{role}-{listen.host}.cfg"
        config.write_text(
            f"global\n  maxconn {visitors}\n  maxpipes {pipes}\n"
            "defaults\n  mode tcp\n  option splice-request\n  option splice-response\n"
            "  timeout connect 10s\n  timeout client 1h\n  timeout server 1h\n"
            f"listen {role}\n  bind {listen}\n  server next {to}\n"
        )
        program = programs.start([path, "-db", "-f", str(config)])
        program.waitUntilListening(*listen)
        return program


@dataclass(frozen=True, slots=True)
class Ssh:
    """
    ``ssh -R`` with an sshd of our own: both with keys and configuration from a folder of their own.

    Started by root they run as nobody: root's sshd wants a folder in /run. Without PAM, accounts that have no password
    would be locked. The stream is encrypted, as ever.
    """

    key: str = "ssh"
    title: str = "ssh -R"
    install: str = "apt install openssh-client openssh-server"
    encrypted: bool = True

    def version(self) -> str | None:
        if not all(find(name) for name in ("ssh", "sshd", "ssh-keygen")):
            return None
        # ssh -V prints it on standard error.
        ssh = find("ssh")
        return toldVersion(["sh", "-c", f"'{ssh}' -V 2>&1"], r"OpenSSH_(\S+?),? ")

    def start(self, programs: Programs, host: str, local: Address) -> Tunnel:
        ssh, sshd, keygen = find("ssh"), find("sshd"), find("ssh-keygen")
        assert ssh and sshd and keygen
        user = "nobody" if os.getuid() == 0 else None
        account = pwd.getpwnam(user) if user else pwd.getpwuid(os.getuid())
        control, public = Address(host, freePort(host)), Address(host, freePort(host))
        folder = programs.folder / f"ssh-{host}"
        folder.mkdir()
        for key in ("host", "user"):
            run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)], _KEY_TIMEOUT)
        (folder / "known").write_text(f"[{host}]:{control.port} {(folder / 'host.pub').read_text()}")
        (folder / "sshd.conf").write_text(
            f"ListenAddress {control}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/user.pub\n"
            "PidFile none\nStrictModes no\nUsePAM yes\nPasswordAuthentication no\n"
            "KbdInteractiveAuthentication no\nAllowTcpForwarding remote\nGatewayPorts clientspecified\n"
        )
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, account.pw_uid, account.pw_gid)
        server = programs.start([sshd, "-D", "-e", "-f", str(folder / "sshd.conf")], user=user)
        server.waitUntilListening(*control)
        options = [
            "BatchMode=yes", "ExitOnForwardFailure=yes", "IdentitiesOnly=yes", "IdentityAgent=none",
            "GlobalKnownHostsFile=none", f"UserKnownHostsFile={folder}/known", "StrictHostKeyChecking=yes",
        ]  # fmt: skip
        words = [ssh, "-F", "none", "-N", "-T", "-p", str(control.port), "-i", str(folder / "user")]
        for option in options:
            words += ["-o", option]
        client = programs.start([*words, "-R", f"{public}:{local}", f"{account.pw_name}@{host}"], user=user)
        client.waitUntilListening(*public)
        return Tunnel(public, local, {"server": server, "client": client})


@dataclass(frozen=True, slots=True)
class Rathole:
    """
    rathole, a tunnel in Rust, with a configuration of its own.

    :ivar encrypted: whether it speaks Noise, with the server's key known to the client
        (Noise_NK_25519_ChaChaPoly_BLAKE2s, what it does unless told otherwise). Each data connection has a handshake
        then, and the server keeps a few connections ready for the next visitors.
    """

    key: str = "rathole"
    title: str = "rathole"
    encrypted: bool = False
    install: str = "cargo install rathole, or name its path in RATHOLE"

    def _path(self) -> str | None:
        return findCargos("rathole", "RATHOLE") or find("rathole")

    def version(self) -> str | None:
        path = self._path()
        if path is None or (self.encrypted and self._keys(path) is None):
            return None
        return toldVersion([path, "--version"], r"(?:rathole |Version:\s+)v?(\d[\w.]*)")

    def _keys(self, path: str) -> tuple[str, str] | None:
        """A fresh private key and its public one; None if this rathole was built without Noise."""
        try:
            output = run([path, "--genkey"], _KEY_TIMEOUT)
        except BenchmarkError:
            return None
        found = re.search(r"Private Key:\s+(\S+)\s+Public Key:\s+(\S+)", output)
        return (found[1], found[2]) if found else None

    def _transports(self, path: str) -> dict[str, str]:
        """The part of each end's configuration about the connections between them."""
        if not self.encrypted:
            return {"server": "", "client": ""}
        keys = self._keys(path)
        assert keys is not None
        return {
            role: f'[{role}.transport]\ntype = "noise"\n[{role}.transport.noise]\n{name} = "{key}"\n'
            for role, name, key in (("server", "local_private_key", keys[0]), ("client", "remote_public_key", keys[1]))
        }

    def start(self, programs: Programs, host: str, local: Address) -> Tunnel:
        path = self._path()
        assert path is not None
        control, public = Address(host, freePort(host)), Address(host, freePort(host))
        transports = self._transports(path)
        ends = {
            "server": ("bind_addr", control, "bind_addr", public),
            "client": ("remote_addr", control, "local_addr", local),
        }
        started = {}
        for role, (name, address, serviceName, serviceAddress) in ends.items():
            config: Path = programs.folder / f"rathole-{role}-{host}.toml"
            config.write_text(
                f'[{role}]\n{name} = "{address}"\ndefault_token = "bench"\n{transports[role]}'
                f'[{role}.services.bench]\n{serviceName} = "{serviceAddress}"\n'
            )
            started[role] = programs.start([path, f"--{role}", str(config)], {"RUST_LOG": "warn"})
            started[role].waitUntilListening(*(control if role == "server" else public))
        return Tunnel(public, local, started)


@dataclass(frozen=True, slots=True)
class Frp:
    """frp, a tunnel in Go, without the TLS that it has unless told otherwise, and with connections kept ready."""

    key: str = "frp"
    title: str = "frp"
    install: str = "frps and frpc of github.com/fatedier/frp, on PATH"
    encrypted: bool = False

    def version(self) -> str | None:
        server, client = find("frps"), find("frpc")
        return toldVersion([server, "--version"], r"(\d[\w.]*)") if server and client else None

    def start(self, programs: Programs, host: str, local: Address) -> Tunnel:
        control, public = Address(host, freePort(host)), Address(host, freePort(host))
        configs = {
            "frps": f'bindAddr = "{host}"\nbindPort = {control.port}\nproxyBindAddr = "{host}"\n',
            "frpc": (
                f'serverAddr = "{host}"\nserverPort = {control.port}\n'
                "transport.tls.enable = false\ntransport.poolCount = 4\n"
                f'[[proxies]]\nname = "bench"\ntype = "tcp"\n'
                f'localIP = "{local.host}"\nlocalPort = {local.port}\nremotePort = {public.port}\n'
            ),
        }
        started = {}
        for name, listens in (("frps", control), ("frpc", public)):
            path = find(name)
            assert path is not None
            config: Path = programs.folder / f"{name}-{host}.toml"
            config.write_text(f'log.level = "error"\n{configs[name]}')
            started[name] = programs.start([path, "-c", str(config)])
            started[name].waitUntilListening(*listens)
        return Tunnel(public, local, {"server": started["frps"], "client": started["frpc"]})


@dataclass(frozen=True, slots=True)
class Chisel:
    """chisel, a tunnel in Go: SSH in a WebSocket. The stream is encrypted, as ever."""

    key: str = "chisel"
    title: str = "chisel"
    install: str = "chisel of github.com/jpillora/chisel, on PATH"
    encrypted: bool = True

    def version(self) -> str | None:
        path = find("chisel")
        return toldVersion([path, "--version"], r"(\d[\w.-]*)") if path else None

    def start(self, programs: Programs, host: str, local: Address) -> Tunnel:
        path = find("chisel")
        assert path is not None
        control, public = Address(host, freePort(host)), Address(host, freePort(host))
        server = programs.start([path, "server", "--reverse", "--host", host, "--port", str(control.port)])
        server.waitUntilListening(*control)
        client = programs.start([path, "client", str(control), f"R:{public}:{local}"])
        client.waitUntilListening(*public)
        return Tunnel(public, local, {"server": server, "client": client})
