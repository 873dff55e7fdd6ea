//! Bells of workers without the database: each hangs here between its worker's questions, so that no wake is
//! lost, and says that there is room only while its worker listens.
//!
//! A worker that stopped, died or went to another server would else be woken for tickets that it never takes.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tamiz_core::WorkerId;
use tamiz_store::signal::TicketBell;
use tokio::time::Instant;

/// Between two questions of a living worker, with a claim in between.
const QUIET_MAX: Duration = Duration::from_secs(3);
/// A bell that nobody listened to for so long is taken down: its worker is gone or has another server.
const HANGS_MAX: Duration = Duration::from_mins(2);
/// How often both are looked at.
pub(super) const SWEEP_EVERY: Duration = Duration::from_secs(1);

struct Hung {
    bell: Arc<TicketBell>,
    heard_at: Instant,
    listeners: usize,
    has_room: bool,
    /// It lost its room because nobody listened, so wakes may have gone elsewhere.
    was_silent: bool,
}

#[derive(Default)]
pub(super) struct Bells(Mutex<HashMap<WorkerId, Hung>>);

impl Bells {
    fn all(&self) -> MutexGuard<'_, HashMap<WorkerId, Hung>> {
        // a panic elsewhere leaves a map that is still a map
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `worker` waits for `slots` tickets, until what is answered is dropped.
    pub(super) fn listen(
        &self,
        worker: WorkerId,
        slots: u32,
        make: impl FnOnce() -> TicketBell,
    ) -> Listening<'_> {
        let mut all = self.all();
        let is_new = !all.contains_key(&worker);
        let hung = hung(&mut all, worker, make);
        let may_have_missed = slots > 0 && (is_new || hung.was_silent);
        hung.listeners += 1;
        hung.set_room(slots);
        Listening {
            bells: self,
            worker,
            bell: Arc::clone(&hung.bell),
            may_have_missed,
        }
    }

    /// `worker` claimed and takes `left` more.
    pub(super) fn claimed(&self, worker: WorkerId, left: u32, make: impl FnOnce() -> TicketBell) {
        let mut all = self.all();
        let hung = hung(&mut all, worker, make);
        hung.set_room(left);
        if left == 0 {
            hung.bell.pass_on();
        }
    }

    /// `worker` said that it has no room. One that listens has some by now.
    pub(super) fn is_full(&self, worker: WorkerId) {
        if let Some(hung) = self.all().get_mut(&worker)
            && hung.listeners == 0
        {
            hung.silence();
        }
    }

    /// `worker` takes nothing any more.
    pub(super) fn take_down(&self, worker: WorkerId) {
        if let Some(mut hung) = self.all().remove(&worker) {
            hung.silence();
        }
    }

    /// Silences bells that nobody listens to, and takes them down later.
    pub(super) fn sweep(&self) {
        self.all().retain(|_, hung| {
            let quiet = hung.heard_at.elapsed();
            if hung.listeners == 0 && quiet > QUIET_MAX {
                hung.silence();
            }
            hung.listeners > 0 || quiet <= HANGS_MAX
        });
    }
}

fn hung(all: &mut HashMap<WorkerId, Hung>, worker: WorkerId, make: impl FnOnce() -> TicketBell) -> &mut Hung {
    match all.entry(worker) {
        Entry::Occupied(hung) => hung.into_mut(),
        Entry::Vacant(place) => place.insert(Hung {
            bell: Arc::new(make()),
            heard_at: Instant::now(),
            listeners: 0,
            has_room: false,
            was_silent: false,
        }),
    }
}

impl Hung {
    fn set_room(&mut self, slots: u32) {
        self.bell.room(slots);
        self.heard_at = Instant::now();
        self.has_room = slots > 0;
        self.was_silent = false;
    }

    /// A wake that came meanwhile goes to somebody else.
    fn silence(&mut self) {
        if self.has_room {
            self.has_room = false;
            self.was_silent = true;
            self.bell.pass_on();
        }
    }
}

/// A worker that waits.
pub(super) struct Listening<'a> {
    bells: &'a Bells,
    worker: WorkerId,
    bell: Arc<TicketBell>,
    /// Nobody listened before: it should look by itself first.
    pub(super) may_have_missed: bool,
}

impl Listening<'_> {
    pub(super) async fn rings(&self) {
        self.bell.rings().await;
    }
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        if let Some(hung) = self.bells.all().get_mut(&self.worker)
            && Arc::ptr_eq(&hung.bell, &self.bell)
        {
            hung.listeners -= 1;
            hung.heard_at = Instant::now();
        }
    }
}
