//! Real processes and their homes: started, stopped, killed, cleaned up. For the demo, and for the tests of whole nodes.

use crate::config;
use crate::passphrase::Source;
use anyhow::{Context, Result, bail, ensure};
use porchlight_net::Role;
use porchlight_rpc::Client;
use porchlight_rpc::methods::{NetPeers, NodeInfo, NodeStop};
use porchlight_rpc::types::{self, Peer};
use porchlight_wire::network::Network;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

/// How long a record holds in the demo.
pub const LEASE: Duration = Duration::from_secs(6);

/// The relays.
pub const RELAYS: [&str; 2] = ["relay-1", "relay-2"];

/// The network's name, so that the demo never meets anyone else.
pub const NETWORK: &str = "porchlight-demo";

/// How long anything may take before the demo is called off. Generous: machines are slow at times.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at something that does not announce itself.
const LOOK: Duration = Duration::from_millis(20);

/// What the demo's configurations say other than usual.
const PACES: [(&str, &str); 6] = [
    ("#lease = \"90s\"", "lease = \"6s\""),
    ("#dht_interval = \"30s\"", "dht_interval = \"500ms\""),
    ("#mdns = true", "mdns = false"),
    ("#ping = \"10s\"", "ping = \"500ms\""),
    ("#live_after_ping = \"30s\"", "live_after_ping = \"3s\""),
    (
        "listen = [\"/ip4/0.0.0.0/tcp/0\", \"/ip4/0.0.0.0/udp/0/quic-v1\"]",
        "listen = [\"/ip4/127.0.0.1/tcp/0\"]",
    ),
];

/// Stands between nodes and their clients, so that tests can see what is said.
pub trait Between: std::fmt::Debug + Send + Sync {
    /// A node answers on this socket, and nobody has used it yet.
    fn came(&self, socket: &Path);

    /// The node that answered there is gone.
    fn gone(&self, socket: &Path);
}

/// All processes and their homes. When it is dropped, every process is killed and everything is removed; after a panic
/// the folder stays, to be looked at.
#[derive(Debug)]
pub struct Stage {
    folder: PathBuf,
    /// Removes the folder when dropped; none once it is to stay.
    temporary: Option<TempDir>,
    program: PathBuf,
    nodes: BTreeMap<String, Child>,
    /// Where the relays listen, once they have been started.
    relays: BTreeMap<&'static str, String>,
    /// Relays that no configuration names.
    further: BTreeSet<String>,
    /// Who stands between nodes and clients, if anyone.
    between: Option<Box<dyn Between>>,
}

impl Stage {
    /// An empty stage in a temporary folder, for processes of this program.
    ///
    /// # Errors
    ///
    /// If there can be no temporary folder.
    pub fn set(program: PathBuf) -> Result<Self> {
        let temporary = tempfile::Builder::new()
            .prefix("porchlight-demo-")
            .tempdir()
            .context("no temporary folder can be made")?;
        Ok(Self {
            folder: temporary.path().to_owned(),
            temporary: Some(temporary),
            program,
            nodes: BTreeMap::new(),
            relays: BTreeMap::new(),
            further: BTreeSet::new(),
            between: None,
        })
    }

    /// Has all that is said to nodes started from now on go by way of `between`.
    #[must_use]
    pub fn overheard_by(mut self, between: impl Between + 'static) -> Self {
        self.between = Some(Box::new(between));
        self
    }

    /// Where everything is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The program that is run.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The home of a node.
    pub fn home(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Where the passphrase of a home is, if it has one: a node that finds it there is started with it.
    pub fn passphrase_file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.passphrase"))
    }

    /// What a node printed.
    pub fn log(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }

    /// Of all nodes that run.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.nodes.keys().map(String::as_str)
    }

    /// The process of a node.
    pub fn pid(&self, name: &str) -> Option<u32> {
        self.nodes.get(name).and_then(Child::id)
    }

    /// Starts both relays.
    ///
    /// # Errors
    ///
    /// If one does not come up.
    pub async fn start_relays(&mut self) -> Result<()> {
        for name in RELAYS {
            self.start(name).await?;
            let info = self.client(name).await?.call::<NodeInfo>(&types::Nothing {}).await?;
            let address = info.listening.first().context("the relay listens nowhere")?;
            self.relays.insert(name, address.clone());
        }
        Ok(())
    }

    /// Starts a relay that nobody's configuration names: others come to know of it through both relays.
    ///
    /// # Errors
    ///
    /// If it does not come up.
    pub async fn start_further_relay(&mut self, name: &str) -> Result<()> {
        self.further.insert(name.to_owned());
        self.start(name).await
    }

    fn is_relay(&self, name: &str) -> bool {
        RELAYS.contains(&name) || self.further.contains(name)
    }

    /// Starts a node, making its home if there is none, and waits until it answers.
    ///
    /// # Errors
    ///
    /// If it does not come up.
    pub async fn start(&mut self, name: &str) -> Result<()> {
        let home = self.home(name);
        let is_relay = self.is_relay(name);
        self.make_home(name)?;
        let log = File::options().create(true).append(true).open(self.log(name))?;
        let mut command = Command::new(&self.program);
        command.arg("--home").arg(&home).arg("run");
        if is_relay {
            // The same address again after a restart, so that the other's configuration still fits.
            command.args(["--role", "relay"]);
            if let Some((listen, _)) = self.relays.get(name).and_then(|address| address.split_once("/p2p/")) {
                command.args(["--listen", listen]);
            }
        }
        if self.passphrase_file(name).exists() {
            command.arg("--passphrase-file").arg(self.passphrase_file(name));
        }
        for (relay, address) in &self.relays {
            if *relay != name {
                command.args(["--seed-peer", address]);
            }
        }
        command
            .env_clear()
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // A ctrl-c is for the demo, which ends them itself.
            .process_group(0)
            .kill_on_drop(false);
        let child = command
            .spawn()
            .with_context(|| format!("{} cannot be started", self.program.display()))?;
        // Ours from here on: whoever stops waiting for its answer has to find it.
        let child = self.nodes.entry(name.to_owned()).insert_entry(child).into_mut();
        let answered = timeout(PATIENCE, async {
            loop {
                if Client::connect(&crate::home::socket(&home)).await.is_ok() {
                    return Ok(());
                }
                if let Some(status) = child.try_wait()? {
                    bail!("{name}'s node ended at once ({status})");
                }
                sleep(LOOK).await;
            }
        })
        .await;
        answered.with_context(|| format!("{name}'s node does not answer"))??;
        if let Some(between) = &self.between {
            between.came(&crate::home::socket(&home));
        }
        Ok(())
    }

    /// Makes the home of a node if there is none.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub fn make_home(&self, name: &str) -> Result<()> {
        let home = self.home(name);
        if home.exists() {
            return Ok(());
        }
        let told = (!self.is_relay(name)).then_some(name);
        let file = self.passphrase_file(name);
        let passphrase = file.exists().then(|| Source::File(file).take_new()).transpose()?;
        let config = config::template(told, &Network::named(NETWORK)?, Role::Ordinary);
        crate::home::create(&home, &config, passphrase.as_ref())?;
        let path = home.join(config::FILE);
        let mut text = std::fs::read_to_string(&path)?;
        for (usual, here) in PACES {
            ensure!(text.contains(usual), "the configuration has no line '{usual}'");
            text = text.replace(usual, here);
        }
        std::fs::write(&path, text)?;
        Ok(())
    }

    /// A connection to a node's local API.
    ///
    /// # Errors
    ///
    /// If it does not answer.
    pub async fn client(&self, name: &str) -> Result<Client> {
        Client::connect(&crate::home::socket(&self.home(name)))
            .await
            .with_context(|| format!("{name}'s node does not answer"))
    }

    /// Waits until a node is connected to both relays.
    ///
    /// # Errors
    ///
    /// If it is not in good time.
    pub async fn connected_to_relays(&self, name: &str) -> Result<()> {
        self.peers_are(name, "both relays", |peers| {
            peers.iter().filter(|peer| peer.seed && peer.relay).count() == 2
        })
        .await
    }

    /// Waits until a node is connected to some relay, whoever told it of it.
    ///
    /// # Errors
    ///
    /// If it is not in good time.
    pub async fn connected_to_a_relay(&self, name: &str) -> Result<()> {
        self.peers_are(name, "a relay", |peers| peers.iter().any(|peer| peer.relay))
            .await
    }

    /// Waits until a node is connected to the node of one of its contacts.
    ///
    /// # Errors
    ///
    /// If it is not in good time.
    pub async fn connected(&self, name: &str, contact: &str) -> Result<()> {
        self.peers_are(name, contact, |peers| {
            peers.iter().any(|peer| peer.contact.as_deref() == Some(contact))
        })
        .await
    }

    async fn peers_are(&self, name: &str, whom: &str, mut fits: impl FnMut(&[Peer]) -> bool) -> Result<()> {
        let mut client = self.client(name).await?;
        timeout(PATIENCE, async {
            while !fits(&client.call::<NetPeers>(&types::Nothing {}).await?.peers) {
                sleep(LOOK).await;
            }
            Ok(())
        })
        .await
        .with_context(|| format!("expected {name} to be connected to {whom}"))?
    }

    /// Stops a node, which says goodbye.
    ///
    /// # Errors
    ///
    /// If it does not run, or does not end well.
    pub async fn stop(&mut self, name: &str) -> Result<()> {
        self.client(name).await?.call::<NodeStop>(&types::Nothing {}).await?;
        let status = self.ends(name).await?;
        ensure!(status.success(), "expected {name}'s node to end well, got {status}");
        Ok(())
    }

    /// Waits until a node ends by itself, and gives how it did.
    ///
    /// # Errors
    ///
    /// If it does not run, or does not end in good time.
    pub async fn ends(&mut self, name: &str) -> Result<ExitStatus> {
        let child = self.nodes.get_mut(name).context("it does not run")?;
        let status = timeout(PATIENCE, child.wait())
            .await
            .with_context(|| format!("{name}'s node does not end"))??;
        self.nodes.remove(name);
        self.ended(name);
        Ok(status)
    }

    /// Kills a node with SIGKILL.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub async fn kill(&mut self, name: &str) -> Result<()> {
        let child = self.nodes.get_mut(name).context("it does not run")?;
        child.kill().await?;
        self.nodes.remove(name);
        self.ended(name);
        Ok(())
    }

    fn ended(&self, name: &str) {
        if let Some(between) = &self.between {
            between.gone(&crate::home::socket(&self.home(name)));
        }
    }

    /// Ends all processes and removes everything. Waits for each process: what it still writes could not be removed.
    pub async fn strike(mut self) {
        for child in self.nodes.values_mut() {
            // One that has ended by itself needs no killing.
            let _ = child.kill().await;
        }
    }

    /// Removes what a node that does not run has left.
    ///
    /// # Errors
    ///
    /// If it cannot be removed.
    pub fn forget(&self, name: &str) -> Result<()> {
        std::fs::remove_dir_all(self.home(name))?;
        std::fs::remove_file(self.log(name))?;
        Ok(())
    }

    /// Ends all processes, and leaves the folder to be looked at.
    pub fn leave_folder(mut self) -> PathBuf {
        self.kill_all();
        self.temporary.take().map_or_else(|| self.folder.clone(), TempDir::keep)
    }

    /// Leaves everything as it is.
    pub fn leave_running(mut self) {
        self.nodes.clear();
        if let Some(temporary) = self.temporary.take() {
            // The path is known already.
            let _ = temporary.keep();
        }
    }

    fn kill_all(&mut self) {
        for child in self.nodes.values_mut() {
            // One that has ended by itself needs no killing.
            let _ = child.start_kill();
        }
        self.nodes.clear();
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.kill_all();
        if std::thread::panicking()
            && let Some(temporary) = self.temporary.take()
        {
            // The path is in the messages that led to the panic.
            let _ = temporary.keep();
        }
    }
}
