//! Opening a store: the file, its tables, the connections, the threads.

use std::sync::atomic::AtomicU64;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use retry_core::id::SessionId;
use retry_core::store::{Result, StoreError, StoreErrorKind, Waker};
use rusqlite::Connection;

use crate::config::{Config, Synchronous};
use crate::connect;
use crate::dropped::Dropped;
use crate::effects::Effects;
use crate::error::{During, Outcome, file_error, store_error};
use crate::group::Group;
use crate::guard::Guard;
use crate::memo::Memo;
use crate::patience::Patience;
use crate::queries;
use crate::readers::Readers;
use crate::record;
use crate::schema;
use crate::session_lock::SessionLocks;
use crate::store::{Inner, SqliteStore};
use crate::sync::Syncer;
use crate::transaction::Surroundings;
use crate::turn::Turn;
use crate::upkeep::Upkeep;
use crate::watcher::Watcher;
use crate::writer::Writer;

impl SqliteStore {
    /// Opens the file and starts the threads.
    pub(crate) fn start(mut config: Config) -> Result<Self> {
        config.path = connect::resolve(&config.path)?;
        let config = config;
        let io = |remedy: &'static str| {
            let path = &config.path;
            move |error| file_error(error, path, remedy)
        };
        if config.migrate {
            connect::create_file(&config.path).map_err(io(
                "the file cannot be created; check the rights of its directory",
            ))?;
        } else if !config.path.exists() {
            let message = format!(
                "{}: there is no such file; open the store once with migrations on",
                config.path.display()
            );
            return Err(StoreError::rejected(StoreErrorKind::Schema, message));
        }
        let locks = SessionLocks::beside(&config.path).map_err(io(
            "the directory of locks beside it cannot be created; check the rights",
        ))?;
        let (conn, readers) = patiently(&config, || {
            let opened = connections(&config)?;
            sweep_locks(&opened.0, &locks)?;
            Ok(opened)
        })
        .map_err(|fault| store_error(fault, During::Open, &config.path))?;
        let start = |conn| start_threads(config.clone(), conn, readers, Arc::new(locks));
        start(conn).map_err(|fault| store_error(fault, During::Open, &config.path))
    }
}

/// The pause between two tries to open a file that others are opening too.
const OPEN_PAUSE: Duration = Duration::from_millis(5);

/// Opens again while others hold the file, up to the busy timeout. SQLite waits by itself only for some locks: changing
/// the journal mode and recovering the log of a killed process answer busy at once.
fn patiently<T>(config: &Config, open: impl Fn() -> Outcome<T>) -> Outcome<T> {
    let mut patience = Patience::new(&*config.clock, config.busy_timeout);
    loop {
        match open() {
            Err(fault) if fault.is_busy() && patience.nap(OPEN_PAUSE) => {}
            answer => return answer,
        }
    }
}

/// The writer's connection, with the tables in place, and the readers'. None of it waits for a lock: `patiently` does.
fn connections(config: &Config) -> Outcome<(Connection, Vec<Connection>)> {
    let mut conn = connect::open(config)?;
    conn.busy_timeout(Duration::ZERO)?;
    if !config.migrate {
        schema::verify(&conn, &config.path)?;
    }
    connect::writer(&conn, config)?;
    conn.busy_timeout(Duration::ZERO)?;
    schema::migrate(&mut conn, &config.path)?;
    let reader = |_| {
        let conn = connect::open(config)?;
        conn.busy_timeout(Duration::ZERO)?;
        connect::reader(&conn)?;
        conn.busy_timeout(config.busy_timeout)?;
        Ok(conn)
    };
    let readers = (0..config.readers).map(reader).collect::<Outcome<_>>()?;
    Ok((conn, readers))
}

/// Removes the lock files of dead processes whose sessions are over.
fn sweep_locks(conn: &Connection, locks: &SessionLocks) -> Outcome<()> {
    let mut statement = conn.prepare_cached(queries::SESSION_STATES)?;
    let mut rows = statement.query([])?;
    let mut live = std::collections::BTreeSet::new();
    while let Some(row) = rows.next()? {
        if let (Ok(id), Ok(false)) = (record::id(row, 0), record::flag(row, 2)) {
            live.insert(SessionId::from_bytes(id));
        }
    }
    locks.sweep(|session| live.contains(&session));
    Ok(())
}

fn start_threads(
    config: Config,
    conn: Connection,
    readers: Vec<Connection>,
    locks: Arc<SessionLocks>,
) -> Outcome<SqliteStore> {
    let spawn = |error: std::io::Error| {
        StoreError::rejected(
            StoreErrorKind::Unavailable,
            "a thread of the store could not be started",
        )
        .with_source(error)
    };
    let page_size: i64 = conn.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let (inbox, messages) = channel();
    let (waker, commits) = (Arc::new(Waker::new()), Arc::new(AtomicU64::new(0)));
    let around = Surroundings {
        guard: Guard::install(&conn)?,
        clock: Arc::clone(&config.clock),
        enlisted: Arc::new(Mutex::new(Effects::default())),
        file: config.path.display().to_string(),
    };
    let turn = locks.turn().inspect_err(|error| {
        tracing::warn!(%error, "writers of several processes cannot take turns");
    });
    let writer = Writer {
        group: Group {
            conn,
            path: config.path.clone(),
            clock: Arc::clone(&config.clock),
            turn: Turn::new(turn.ok(), config.busy_timeout),
            memo: Memo::default(),
            singly: 0,
        },
        inbox: messages,
        waker: Arc::clone(&waker),
        locks: Arc::clone(&locks),
        watcher: Watcher::default(),
        upkeep: Upkeep::new(&config, page_size),
        syncer: match config.synchronous {
            Synchronous::Normal => Some(Syncer::start(config.wal()).map_err(spawn)?),
            Synchronous::Full | Synchronous::Off => None,
        },
        poll_interval: config.poll_interval,
        commits: Arc::clone(&commits),
    };
    let writer = thread::Builder::new()
        .name("retry-sqlite-writer".to_owned())
        .spawn(move || writer.run())
        .map_err(spawn)?;
    let readers = Readers::start(readers).map_err(spawn)?;
    Ok(SqliteStore::of(Inner {
        config,
        inbox: Some(inbox),
        writer: Some(writer),
        readers: Some(readers),
        waker,
        locks,
        around,
        commits,
        dropped: Dropped::default(),
    }))
}
