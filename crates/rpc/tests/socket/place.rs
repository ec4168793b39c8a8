//! The socket on disk, and a node that is not there.

use crate::site::{Desk, Site, patiently};
use porchlight_rpc::methods::ContactList;
use porchlight_rpc::{BindError, Client, ClientError, Server, types};
use std::os::unix::fs::PermissionsExt;
use tokio::io::AsyncReadExt;

#[tokio::test]
async fn the_socket_is_for_its_owner_only_and_goes_with_the_server() {
    let site = Site::open();
    let mode = std::fs::metadata(site.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let (path, site) = (site.path(), site);
    let Site {
        folder, serving, end, ..
    } = site;
    drop(end);
    patiently(serving).await.unwrap();
    assert!(!path.exists());
    drop(folder);
}

#[tokio::test]
async fn a_socket_that_nobody_listens_on_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rpc.sock");
    // A killed process leaves its socket behind.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let error = Client::connect(&path).await.unwrap_err();
    assert!(matches!(error, ClientError::NotRunning(_)), "{error}");

    let server = Server::bind(&path).unwrap();
    tokio::spawn(server.serve(Desk::new(), std::future::pending()));
    let mut client = Client::connect(&path).await.unwrap();
    client.call::<ContactList>(&types::Nothing {}).await.unwrap();
}

#[tokio::test]
async fn a_socket_that_somebody_listens_on_is_left_alone() {
    let site = Site::open();
    let error = Server::bind(&site.path()).unwrap_err();
    assert!(matches!(error, BindError::InUse(_)));
    let message = error.to_string();
    assert!(
        message.contains("already running") && message.contains("porchlight stop"),
        "{message}"
    );
    assert!(message.contains(site.path().to_str().unwrap()), "{message}");
    site.client()
        .await
        .call::<ContactList>(&types::Nothing {})
        .await
        .unwrap();
    // The look whether somebody is there has come and gone like any client.
    site.all_gone().await;
}

#[tokio::test]
async fn what_is_no_socket_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rpc.sock");
    std::fs::write(&path, "precious").unwrap();
    let error = Server::bind(&path).unwrap_err();
    assert!(matches!(error, BindError::NotASocket(_)), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");

    let link = folder.path().join("link.sock");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(matches!(Server::bind(&link), Err(BindError::NotASocket(_))));
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
}

#[tokio::test]
async fn a_path_that_cannot_be_used_is_named_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let long = folder.path().join("x".repeat(120));
    let error = Server::bind(&long).unwrap_err();
    assert!(
        matches!(error, BindError::TooLong { bytes, .. } if bytes > 107),
        "{error}"
    );
    assert!(error.to_string().contains("shorter path"), "{error}");

    let nowhere = folder.path().join("no-such-folder").join("rpc.sock");
    let error = Server::bind(&nowhere).unwrap_err();
    assert!(matches!(error, BindError::Io { .. }), "{error}");
    assert!(error.to_string().contains("no-such-folder"), "{error}");
}

#[tokio::test]
async fn a_client_without_a_node_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rpc.sock");
    let error = Client::connect(&path).await.unwrap_err();
    assert!(
        matches!(&error, ClientError::NotRunning(named) if *named == path),
        "{error}"
    );
}

#[tokio::test]
async fn a_client_whose_node_goes_away_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rpc.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let going = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = [0; 16];
        stream.read_exact(&mut asked).await.unwrap();
    });
    let mut client = Client::connect(&path).await.unwrap();
    let error = patiently(client.call::<ContactList>(&types::Nothing {}))
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::Closed | ClientError::Broken(_)), "{error}");
    going.await.unwrap();
}
