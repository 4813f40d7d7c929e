//! Starts a control plane to try things on by hand.

use std::{env, error::Error, io::Write, thread};

use cloudop_testbed::ControlPlane;

fn main() -> Result<(), Box<dyn Error>> {
    if env::args().len() > 1 {
        eprintln!(
            "usage: control-plane\nStarts etcd and a kube-apiserver on loopback until Ctrl-C, and prints how to reach them."
        );
        std::process::exit(2);
    }
    let control_plane = ControlPlane::start()?;
    let kubectl = control_plane.bin("kubectl")?;
    let programs = kubectl.parent().ok_or("kubectl is in no folder")?;
    let mut path = vec![programs.to_owned()];
    path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    println!("export KUBECONFIG='{}'", control_plane.kubeconfig().display());
    println!("export PATH='{}'", env::join_paths(path)?.display());
    std::io::stdout().flush()?;
    eprintln!("Paste these lines into another terminal. Ctrl-C here ends the control plane.");
    loop {
        thread::park();
    }
}
