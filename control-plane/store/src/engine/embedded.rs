//! The embedded engine: three tables in one redb file.
//!
//! redb is a copy-on-write B-tree: a commit writes the changed pages to free space and then switches a root, so it is there
//! as a whole or not at all. Changes are keyed by revision, so a group of them goes to the tree's right edge and shares
//! its pages. After any I/O error redb refuses to work until it is opened again; [`Embedded::recover`] does that on the
//! same, still locked, file.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{
    Builder, Database, DatabaseError, ReadableDatabase as _, ReadableTable, StorageBackend, StorageError,
    TableDefinition, TableError, WriteTransaction,
};

use super::format::{self, FORMAT, LEASE_BYTES, PLACE_BYTES};
use super::{Change, Engine, EngineError, Group, Standing};
use crate::disk::{Disk, FileDisk};
use crate::{LeaseId, OpenError, Revision};

const META: TableDefinition<'static, &str, u64> = TableDefinition::new("meta");
const CHANGES: TableDefinition<'static, &[u8; PLACE_BYTES], &[u8]> = TableDefinition::new("changes");
const LEASES: TableDefinition<'static, u64, &[u8; LEASE_BYTES]> = TableDefinition::new("leases");

/// The format's number.
const META_FORMAT: &str = "format";
/// The oldest readable revision.
const META_COMPACTED: &str = "compacted";
/// The highest lease id ever given.
const META_LAST_LEASE: &str = "last_lease";

/// Bytes that redb may use to cache pages. Small: reads are served from the store's own memory.
const CACHE_BYTES: usize = 4 << 20;

/// A store in a redb file.
pub(crate) struct Embedded {
    disk: Arc<dyn Disk>,
    /// Absent after a recovery that failed.
    database: Option<Database>,
    /// Reused for each change's bytes.
    buffer: Vec<u8>,
}

/// Passes redb's calls on to the disk, which outlives the database.
#[derive(Debug)]
struct Backend(Arc<dyn Disk>);

// === impl Embedded ===

impl Embedded {
    /// Opens a store's file; makes it, and the folders it is in, if it is not there.
    pub(crate) fn open_file(path: &Path) -> Result<Self, OpenError> {
        if !path.exists() {
            create_file(path)?;
        }
        Self::open(Arc::new(FileDisk::open(path)?))
    }

    /// Opens the store on a disk; makes it, if the disk is empty.
    pub(crate) fn open(disk: Arc<dyn Disk>) -> Result<Self, OpenError> {
        let is_new = disk.is_empty().map_err(|error| failed(&*disk, error))?;
        let database = open_database(&disk).map_err(|error| refused(&*disk, error))?;
        let engine = Self { disk, database: Some(database), buffer: Vec::new() };
        let checked = if is_new { engine.initialize() } else { engine.check_format() };
        checked.map(|()| engine)
    }

    fn initialize(&self) -> Result<(), OpenError> {
        let made = self.write(|transaction| {
            transaction.open_table(META)?.insert(META_FORMAT, FORMAT)?;
            transaction.open_table(CHANGES)?;
            transaction.open_table(LEASES)?;
            Ok(())
        });
        made.map_err(|error| failed(&*self.disk, io::Error::other(error.to_string())))
    }

    fn check_format(&self) -> Result<(), OpenError> {
        let found = self.meta(META_FORMAT).map_err(|error| self.unreadable(error))?;
        match found {
            Some(FORMAT) => Ok(()),
            Some(found) => {
                Err(OpenError::UnknownFormat { path: self.disk.path().to_owned(), found, supported: FORMAT })
            }
            None => Err(self.unreadable("it has no format number")),
        }
    }

    fn unreadable(&self, reason: impl Display) -> OpenError {
        OpenError::Unreadable { path: self.disk.path().to_owned(), reason: reason.to_string() }
    }

    fn database(&self) -> Result<&Database, EngineError> {
        self.database.as_ref().ok_or_else(|| EngineError::Rejected("the file could not be opened again".to_owned()))
    }

    fn meta(&self, name: &str) -> Result<Option<u64>, redb::Error> {
        let Some(database) = &self.database else { return Ok(None) };
        match database.begin_read()?.open_table(META) {
            Ok(table) => Ok(table.get(name)?.map(|value| value.value())),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The last revision on disk: that of the last change, or the oldest readable one if all changes are older and gone.
    fn last_revision(&self) -> Result<Revision, redb::Error> {
        let compacted = Revision(self.meta(META_COMPACTED)?.unwrap_or(0));
        let Some(database) = &self.database else { return Ok(compacted) };
        let table = database.begin_read()?.open_table(CHANGES)?;
        let last = table.last()?.map(|(place, _)| format::place(*place.value()).revision);
        Ok(last.map_or(compacted, |last| last.max(compacted)))
    }

    /// Runs one durable transaction. What fails before its commit has not happened; what fails in it may have.
    fn write(&self, fill: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>) -> Result<(), EngineError> {
        let rejected = |error: redb::Error| EngineError::Rejected(error.to_string());
        let transaction = self.database()?.begin_write().map_err(|error| rejected(error.into()))?;
        fill(&transaction).map_err(rejected)?;
        transaction.commit().map_err(|error| EngineError::Unknown(error.to_string()))
    }

    fn read_standing(&self) -> Result<Standing, OpenError> {
        let compacted = Revision(self.meta(META_COMPACTED).map_err(|error| self.unreadable(error))?.unwrap_or(0));
        let last_lease = self.meta(META_LAST_LEASE).map_err(|error| self.unreadable(error))?.unwrap_or(0);
        let mut leases = Vec::new();
        self.each(LEASES, |id, bytes| {
            let lease = format::decode_lease(LeaseId(id), *bytes);
            leases.push(lease.map_err(|damage| format!("lease {id}: {damage}"))?);
            Ok(())
        })?;
        Ok(Standing { compacted, leases, last_lease })
    }

    /// Calls `each` for every record of a table, in order.
    fn each<K: redb::Key, V: redb::Value>(
        &self,
        table: TableDefinition<'_, K, V>,
        mut each: impl FnMut(K::SelfType<'_>, V::SelfType<'_>) -> Result<(), String>,
    ) -> Result<(), OpenError> {
        let Some(database) = &self.database else { return Ok(()) };
        let mut read = || -> Result<Result<(), String>, redb::Error> {
            for record in database.begin_read()?.open_table(table)?.iter()? {
                let (key, value) = record?;
                if let Err(damage) = each(key.value(), value.value()) {
                    return Ok(Err(damage));
                }
            }
            Ok(Ok(()))
        };
        read().map_err(|error| self.unreadable(error))?.map_err(|damage| self.unreadable(damage))
    }
}

impl Engine for Embedded {
    fn standing(&mut self) -> Result<Standing, OpenError> {
        self.read_standing()
    }

    fn changes(&mut self, each: &mut dyn FnMut(Change)) -> Result<(), OpenError> {
        self.each(CHANGES, |place, bytes| {
            let place = format::place(*place);
            let change = format::decode(place, bytes);
            each(change.map_err(|damage| format!("change {} of revision {}: {damage}", place.index, place.revision))?);
            Ok(())
        })
    }

    fn append(&mut self, group: &Group) -> Result<(), EngineError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let outcome = self.write(|transaction| fill(transaction, group, &mut buffer));
        // One value of a mebibyte does not make every later group pay.
        buffer.clear();
        buffer.shrink_to(64 << 10);
        self.buffer = buffer;
        outcome
    }

    fn recover(&mut self) -> Result<Revision, EngineError> {
        let unknown = |error: &dyn Display| EngineError::Unknown(error.to_string());
        self.database = None;
        self.disk.forget_cached().map_err(|error| unknown(&error))?;
        self.database = Some(open_database(&self.disk).map_err(|error| unknown(&error))?);
        let last = self.last_revision();
        // What was read may so far be only in the system's cache.
        let synced = self.disk.sync();
        if synced.is_err() || last.is_err() {
            self.database = None;
        }
        synced.map_err(|error| unknown(&error))?;
        last.map_err(|error| unknown(&error))
    }
}

fn fill(transaction: &WriteTransaction, group: &Group, buffer: &mut Vec<u8>) -> Result<(), redb::Error> {
    if !group.changes.is_empty() || !group.removals.is_empty() {
        let mut changes = transaction.open_table(CHANGES)?;
        for change in &group.changes {
            buffer.clear();
            format::encode(change, buffer);
            changes.insert(&format::place_bytes(change.place), buffer.as_slice())?;
        }
        for place in &group.removals {
            changes.remove(&format::place_bytes(*place))?;
        }
    }
    if let Some(compacted) = group.compacted {
        transaction.open_table(META)?.insert(META_COMPACTED, compacted.0)?;
    }
    fill_leases(transaction, group)
}

fn fill_leases(transaction: &WriteTransaction, group: &Group) -> Result<(), redb::Error> {
    if group.leases.is_empty() && group.ended_leases.is_empty() {
        return Ok(());
    }
    let mut leases = transaction.open_table(LEASES)?;
    let mut meta = transaction.open_table(META)?;
    for lease in &group.leases {
        leases.insert(lease.id.0, &format::encode_lease(*lease))?;
        let last = meta.get(META_LAST_LEASE)?.map_or(0, |last| last.value());
        if lease.id.0 > last {
            meta.insert(META_LAST_LEASE, lease.id.0)?;
        }
    }
    for lease in &group.ended_leases {
        leases.remove(lease.0)?;
    }
    Ok(())
}

/// Makes a store's file under another name and then gives it its own, so that a crash leaves no half-made one.
fn create_file(path: &Path) -> Result<(), OpenError> {
    let in_folder = |source: io::Error| OpenError::Disk { path: path.to_owned(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(in_folder)?;
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".unfinished");
    let unfinished = PathBuf::from(unfinished);
    drop(Embedded::open(Arc::new(FileDisk::create(&unfinished)?))?);
    std::fs::rename(&unfinished, path).map_err(in_folder)?;
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(in_folder)
}

fn open_database(disk: &Arc<dyn Disk>) -> Result<Database, DatabaseError> {
    Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(Backend(disk.clone()))
}

fn failed(disk: &dyn Disk, source: io::Error) -> OpenError {
    OpenError::Disk { path: disk.path().to_owned(), source }
}

fn refused(disk: &dyn Disk, error: DatabaseError) -> OpenError {
    match error {
        DatabaseError::Storage(StorageError::Io(source)) if source.kind() != io::ErrorKind::InvalidData => {
            failed(disk, source)
        }
        other => OpenError::Unreadable { path: disk.path().to_owned(), reason: other.to_string() },
    }
}

// === impl Backend ===

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
}
