//! How etcd and kube-apiserver are started.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::Command,
};

use socket2::{Domain, Socket, Type};

use crate::{
    Error, Process,
    authority::{Authority, write_key_pair},
    scratch::write,
};

/// Logs every request once its answer has begun or is complete, without bodies; but for what the API
/// server asks itself.
const AUDIT_POLICY: &str = r#"{
    "apiVersion": "audit.k8s.io/v1", "kind": "Policy",
    "omitStages": ["RequestReceived"], "rules": [
        {"level": "None", "users": ["system:apiserver"]},
        {"level": "Metadata"}
    ]
}"#;

/// Writes the files that both are started with.
pub(crate) fn prepare(folder: &Path, authority: &Authority) -> Result<(), Error> {
    authority.write_certificate(&folder.join("ca.crt"))?;
    authority.write_server(&folder.join("server.crt"), &folder.join("server.key"))?;
    write_key_pair(&folder.join("tokens.key"), &folder.join("tokens.pub"))?;
    write(&folder.join("audit-policy.json"), AUDIT_POLICY)
}

/// Takes a free port and keeps it for as long as the socket lives. The socket never listens; the
/// API server, started with `--permit-port-sharing`, does, also when it is started again.
pub(crate) fn reserve_port() -> Result<(Socket, SocketAddr), Error> {
    bind().map_err(Error::io("reserve a port"))
}

fn bind() -> io::Result<(Socket, SocketAddr)> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_port(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    let address = socket.local_addr()?.as_socket();
    Ok((socket, address.ok_or(io::ErrorKind::AddrNotAvailable)?))
}

/// Relative, because the path of a socket is limited to about a hundred bytes; and sockets, because
/// a port would be open to everybody on this machine.
const ETCD_URL: &str = "unix://etcd.sock";

pub(crate) fn start_etcd(programs: &Path, folder: &Path) -> Result<Process, Error> {
    let mut command = Command::new(programs.join("etcd"));
    let peer = "unix://peer.sock";
    command
        .current_dir(folder)
        .arg("--data-dir")
        .arg(folder.join("etcd"))
        .args(["--unsafe-no-fsync", "--log-level=warn"])
        // In ms, a tenth of the defaults: the only member needn't wait for others to elect it.
        .args(["--heartbeat-interval=10", "--election-timeout=100"])
        .args(["--listen-client-urls", ETCD_URL])
        .args(["--advertise-client-urls", ETCD_URL])
        .args(["--listen-peer-urls", peer])
        .args(["--initial-advertise-peer-urls", peer])
        .args(["--initial-cluster", &format!("default={peer}")]);
    Process::spawn("etcd", command)
}

pub(crate) fn start_api_server(programs: &Path, folder: &Path, address: SocketAddr) -> Result<Process, Error> {
    let mut command = Command::new(programs.join("kube-apiserver"));
    command
        .current_dir(folder)
        .args(["--etcd-servers", ETCD_URL])
        .args(["--bind-address", &address.ip().to_string()])
        .args(["--secure-port", &address.port().to_string()])
        .arg("--permit-port-sharing")
        .args(["--authorization-mode", "RBAC"])
        .args(["--service-account-issuer", "https://kubernetes.default.svc"])
        .args(["--service-cluster-ip-range", "10.0.0.0/24"])
        // It would refuse pods until a controller has made the namespace's service account.
        .args(["--disable-admission-plugins", "ServiceAccount"])
        // In MB: large enough never to be rotated, as only one file is read.
        .args(["--audit-log-maxsize", "100000"]);
    for (flag, file) in [
        ("--client-ca-file", "ca.crt"),
        ("--tls-cert-file", "server.crt"),
        ("--tls-private-key-file", "server.key"),
        ("--service-account-key-file", "tokens.pub"),
        ("--service-account-signing-key-file", "tokens.key"),
        ("--audit-policy-file", "audit-policy.json"),
        ("--audit-log-path", "audit.log"),
    ] {
        command.arg(flag).arg(folder.join(file));
    }
    Process::spawn("kube-apiserver", command)
}
