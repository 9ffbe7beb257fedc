//! `recipe serve`: what was built here, read-only, for the team.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::PoisonError;

use camino::{Utf8Path, Utf8PathBuf};

use super::advice::report;
use super::app::App;
use super::build::plan_named;
use super::exit::Failed;
use super::push::{self, Sending};
use crate::cache::serve::Server;
use crate::cache::{Place, SecretKey};

/// What `recipe serve` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where to listen; 0.0.0.0 for all of the machine's networks
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7700")]
    listen: SocketAddr,
    /// Folder of the files that are served, made as they are asked for [default: recipe/serve in the user's cache
    /// directory]
    #[arg(long, value_name = "DIR")]
    folder: Option<Utf8PathBuf>,
}

pub(super) fn run(args: &Args, app: &App) -> Result<(), Failed> {
    let (_, key) = app.own_key()?;
    let key = key.ok_or_else(push::no_key)?;
    let folder = match (&args.folder, app.cache_home()) {
        (Some(folder), _) => folder.clone(),
        (None, Some(home)) => home.join("recipe/serve"),
        (None, None) => {
            return Err(Failed::Usage(report(
                "there is no place for what is served: neither HOME nor XDG_CACHE_HOME is set"
                    .to_owned(),
                "name one: `--folder DIR`".to_owned(),
            )));
        }
    };
    std::fs::create_dir_all(&folder).map_err(|error| {
        Failed::File(report(
            format!("{folder} cannot be made: {error}"),
            "name another place: `--folder DIR`".to_owned(),
        ))
    })?;
    let server =
        Server::bind(args.listen, folder.clone()).map_err(|error| no_address(args, &error))?;
    let address = server.address().map_err(|error| no_address(args, &error))?;
    app.say(&format!(
        "http://{address}\n  what is built here, signed by {}",
        key.public()
    ))?;
    let filling = Mutex::new(());
    let fill = |name: &str| {
        // Two that ask for the same wait for one.
        let _one = filling.lock().unwrap_or_else(PoisonError::into_inner);
        if folder.join(name).exists() {
            return;
        }
        if let Err(failed) = fill(name, &folder, &key, app) {
            app.tell(&format!("{name} cannot be served: {}", failed.message()));
        }
    };
    let hear = |line: &str| app.tell(line);
    server
        .run(&fill, &hear)
        .map_err(|error| no_address(args, &error))
}

/// Puts the build of that name into the folder, if it was built here.
fn fill(name: &str, folder: &Utf8Path, key: &SecretKey, app: &App) -> Result<(), Failed> {
    let Some((word, plan)) = plan_named(name, app)? else {
        return Ok(());
    };
    let place = Place::folder(folder.to_owned());
    let sending = Sending { key, verify: false };
    push::send_made(&word, &plan, &sending, &place, app)
}

fn no_address(args: &Args, error: &std::io::Error) -> Failed {
    Failed::Usage(report(
        format!("nothing can be served at {}: {error}", args.listen),
        "name another address: `--listen ADDRESS:PORT`".to_owned(),
    ))
}
