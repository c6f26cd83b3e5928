//! The services, and what several of them do together. No transport is known here: `http`, `ws` and `control`
//! are given an [`App`] and do not know each other.

use shared::ClientId;
use shared::protocol::Confined;

use crate::auth::Clients;
use crate::clock::now;
use crate::files::Files;
use crate::identity::Identity;
use crate::pairing::Pairing;
use crate::relay::Relay;
use crate::sessions::Operations;
use crate::sessions::hub::Hub;
use crate::store::StoreError;
use crate::tasks::Tasks;

pub(crate) struct App {
    /// By what pages know the runner.
    pub(crate) identity: Identity,
    /// Who is paired.
    pub(crate) clients: Clients,
    /// The open codes.
    pub(crate) pairing: Pairing,
    /// Who is connected.
    pub(crate) hub: Hub,
    /// Calls models.
    pub(crate) relay: Relay,
    /// Runs commands.
    pub(crate) tasks: Tasks,
    /// Reads and writes files.
    pub(crate) files: Files,
    /// What is under way, and what was done.
    pub(crate) operations: Operations,
    /// Where commands run.
    pub(crate) workspace: String,
    /// The same with the home folder as `~`.
    pub(crate) workspace_short: String,
    /// What the workspace is, if so much lies in it that each change of a file is to be allowed.
    pub(crate) wide: Option<String>,
    /// How commands are confined, if they are.
    pub(crate) confined: Option<Confined>,
    /// Where the page is: `http://127.0.0.1:8757`.
    pub(crate) url: String,
}

impl App {
    /// A link with a fresh code, for a client or for a person at the runner. Fails if the system's random
    /// source does.
    pub(crate) fn pairing_link(&self, by: Option<ClientId>) -> Result<String, getrandom::Error> {
        Ok(format!("{}/#pair={}", self.url, self.pairing.open_code(by)?.expose()))
    }

    /// Revokes a client and all that it has paired: their sockets, requests and codes end. Gives who they
    /// were; if the store cannot be written they are good again after a restart.
    pub(crate) async fn revoke(&self, client: ClientId) -> (Vec<ClientId>, Result<(), StoreError>) {
        let mut fallen = Vec::new();
        let written = self.clients.revoke(client, now(), |revoked| {
            fallen = revoked.to_vec();
            self.pairing.forget(revoked);
            self.hub.revoke(revoked);
        });
        let written = written.await;
        (fallen, written)
    }
}
