//! [`StepKey`] → [`Trace`]: which step made what. Begin at [`Session::record`] and [`Session::find`].
//!
//! A trace is written after its objects are durable and removed before they are. The first one to be
//! recorded for a key stays. What its file says is the business of `trace.rs`.

use crate::digest::StepKey;
use crate::disk::ShardPath;
use crate::error::{Result, StoreError};
use crate::layout::{Store, keys_of};
use crate::lease::{Kept, locked};
use crate::session::Session;
use crate::trace::Trace;

/// What became of a trace that was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a step that gave two results is not reproducible"]
pub enum Recorded {
    /// It is the first for its key.
    New,
    /// There was one with the same outputs.
    Same,
    /// There was one with other outputs, and that one stays.
    Differs {
        /// The one that stays.
        first: Box<Trace>,
    },
}

pub(crate) fn trace_path(key: &StepKey) -> ShardPath {
    ShardPath::new(&key.0.hex(), "")
}

impl Store {
    /// The trace of a step, if one is published and all its outputs are there. One that is damaged
    /// is as good as absent: it is written anew when the step has run again.
    pub fn find(&self, key: &StepKey) -> Result<Option<Trace>> {
        let Some(trace) = self.sound_trace(key)? else {
            return Ok(None);
        };
        for id in trace.outputs.values() {
            if !self.has(id)? {
                return Ok(None);
            }
        }
        Ok(Some(trace))
    }

    fn sound_trace(&self, key: &StepKey) -> Result<Option<Trace>> {
        match self.read_trace(key) {
            Err(StoreError::Corrupt { .. }) => Ok(None),
            other => other,
        }
    }

    /// The trace of a step as it lies on disk, whether or not its outputs exist: what `why` compares.
    pub fn read_trace(&self, key: &StepKey) -> Result<Option<Trace>> {
        let path = trace_path(key);
        let Some(bytes) = self.folders.traces.read(path.as_str())? else {
            return Ok(None);
        };
        let damaged =
            |why: String| StoreError::corrupt(self.folders.traces.path().join(path.as_str()), why);
        let trace = Trace::decode(&bytes).map_err(damaged)?;
        if trace.key != *key {
            return Err(damaged(format!("it is the trace of {}", trace.key)));
        }
        Ok(Some(trace))
    }
}

impl Session {
    /// The trace of a step whose outputs all exist. It and they stay for as long as the session lives.
    pub fn find(&self, key: &StepKey) -> Result<Option<Trace>> {
        if let Some(trace) = locked(&self.traces).get(key) {
            return Ok(Some(trace.clone()));
        }
        let inside = self.enter()?;
        let Some(trace) = self.store.sound_trace(key)? else {
            return Ok(None);
        };
        let mut kept = vec![Kept::Step(*key)];
        for id in trace.outputs.values() {
            let before = kept.len();
            for file in keys_of(id) {
                if self.place_of(&file).is_some() || self.folders().has(&file)? {
                    kept.push(Kept::Object(file));
                }
            }
            if kept.len() == before {
                return Ok(None);
            }
        }
        self.keep(&kept)?;
        drop(inside);
        self.folders().traces.touch(trace_path(key).as_str())?;
        locked(&self.traces).insert(*key, trace.clone());
        Ok(Some(trace))
    }

    /// Records what a step made. This session finds it at once, others after the next commit. All
    /// outputs must be in the session or the store, else [`StoreError::Missing`].
    pub fn record(&self, trace: Trace) -> Result<Recorded> {
        trace.encode()?;
        for id in trace.outputs.values() {
            self.pin(id)?;
        }
        if let Some(first) = self.find(&trace.key)? {
            return Ok(compare(&trace, first));
        }
        let mut traces = locked(&self.traces);
        if let Some(first) = traces.get(&trace.key) {
            return Ok(compare(&trace, first.clone()));
        }
        traces.insert(trace.key, trace.clone());
        locked(&self.pending).traces.push(trace);
        Ok(Recorded::New)
    }
}

pub(crate) fn compare(trace: &Trace, first: Trace) -> Recorded {
    if trace.outputs == first.outputs {
        Recorded::Same
    } else {
        Recorded::Differs {
            first: Box::new(first),
        }
    }
}
