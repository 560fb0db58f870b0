//! Can I prove that nothing was altered?
//!
//! Every event of a lake file is a leaf of the file's row tree ([`RowTree`]); a [`Manifest`] with that tree's
//! root is a leaf of the log ([`Log`]); the log's checkpoints are signed by its key ([`Signer`]) and cosigned
//! by witnesses ([`Witness`]). [`verify`] reads a log and names everything that is wrong with it; [`evidence`]
//! does the same for an exported bundle, without lake or log. Formats: C2SP tlog-tiles, tlog-checkpoint,
//! signed-note and tlog-cosignature, so that other tools can check them too.

mod hash;
mod tree;

mod key;
mod note;

mod manifest;

mod disk;
mod log;
mod reader;
mod tile;
mod witness;

pub mod verify;

pub mod evidence;

pub use hash::{Hash, NotAHash, leaf_hash, leaf_hash_of, node_hash};
pub use key::{KeyError, Scheme, Signer, Verifier};
pub use log::{AppendError, Log, TICK};
pub use manifest::{
    Compaction, Entry, Expiry, Hold, Key, KeyEvent, MAX_ENTRY, Manifest, ManifestError, Opened, Remark,
    Segment, Span, Statement, StoredFile,
};
pub use note::{Checkpoint, MAX_NOTE, Note, NoteError, NoteSignature, Signed};
pub use reader::{History, Kept, LogEntries, LogError, LogReader};
pub use tree::{
    Path, ProofError, RowTree, Tree, consistency, inclusion, root, verify_consistency, verify_inclusion,
};
pub use witness::{Policy, Refused, Request, Witness};
