//! Who is woken for new tickets.
//!
//! A wake names a few workers, not all: those that said they have room and can serve the class, drawn by
//! the power of two choices, until their room covers the tickets, and one more, so that a dead one does not
//! swallow a ticket. Whoever is named and has no room, or cannot serve the class, passes the wake on once. What is known of others is
//! about a second old; of workers in this process it is exact.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use sqlx::postgres::PgPool;
use tamiz_core::WorkerId;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{News, Signals};

/// Of a worker's capabilities: the scan types that it claims, none if it claims all.
pub const KEPT_TO: &str = "keptTo";
/// What is known of other processes' workers is read again after this time.
const FRESH: Duration = Duration::from_secs(1);
/// Workers that one wake may name: those that fill up pass it on.
const NAMED_MAX: usize = 64;
/// Workers that one look into the register reads.
const KNOWN_MAX: i64 = 10_000;

/// A kind of ticket, by what it asks of a worker.
pub(crate) type Class = i32;

/// What tickets of a class ask for.
#[derive(Debug, Clone, Default)]
pub(super) struct Needs {
    pub(super) scan_type: String,
    pub(super) tools: Vec<String>,
    pub(super) worlds: Vec<String>,
}

/// What a worker claims.
#[derive(Debug, Clone, Default)]
pub struct Serves {
    /// Scan types; none is all.
    pub scan_types: Vec<String>,
    /// Tools that it has.
    pub tools: Vec<String>,
    /// Versions of the plugin contract that it runs; `None` is not known, and no hindrance.
    pub worlds: Option<Vec<String>>,
}

impl Serves {
    fn can(&self, needs: &Needs) -> bool {
        let has = |words: &[String], word: &String| words.contains(word);
        (self.scan_types.is_empty() || has(&self.scan_types, &needs.scan_type))
            && (needs.tools.is_empty() || needs.tools.iter().any(|tool| has(&self.tools, tool)))
            && self
                .worlds
                .as_ref()
                .is_none_or(|worlds| needs.worlds.iter().all(|world| has(worlds, world)))
    }

    /// As a worker registers it.
    fn of_capabilities(capabilities: &Value) -> Self {
        let list = |value: &Value| value.as_array().cloned();
        let word = |value: &Value| value.as_str().map(str::to_owned);
        let tools = list(&capabilities["tools"]).unwrap_or_default();
        let worlds = list(&capabilities["worlds"]);
        let kept_to = list(&capabilities[KEPT_TO]).unwrap_or_default();
        Self {
            scan_types: kept_to.iter().filter_map(word).collect(),
            tools: tools.iter().filter_map(|tool| word(&tool["name"])).collect(),
            worlds: worlds.map(|worlds| worlds.iter().filter_map(word).collect()),
        }
    }
}

/// A worker of another process, as it last said.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) worker: WorkerId,
    pub(super) free: u32,
    pub(super) serves: Serves,
}

/// What is known of classes and workers.
#[derive(Debug, Default)]
pub(super) struct Directory {
    pub(super) classes: HashMap<Class, Needs>,
    pub(super) workers: Vec<Known>,
    read_at: Option<Instant>,
}

/// Whom to wake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Choice {
    /// These.
    Workers(Vec<WorkerId>),
    /// Nobody is known, so whoever listens.
    Everybody,
}

impl Directory {
    /// Reads it again if it is old, or does not know a class that it is asked about; says whether it did.
    pub(super) async fn refresh(&mut self, pool: &PgPool, classes: impl Iterator<Item = Class>) -> bool {
        let known = self.read_at.is_some_and(|read_at| read_at.elapsed() < FRESH);
        let mut classes = classes;
        if known && classes.all(|class| self.classes.contains_key(&class)) {
            return false;
        }
        match read(pool).await {
            Ok((classes, workers)) => (self.classes, self.workers) = (classes, workers),
            Err(error) => {
                tracing::debug!(%error, "the register was not read; whoever listens is woken");
                self.workers.clear();
            }
        }
        self.read_at = Some(Instant::now());
        true
    }

    /// It was read for its classes only: whoever asks for workers next reads it again.
    pub(super) fn forget_age(&mut self) {
        self.read_at = None;
    }

    /// Workers whose room covers `count` tickets of `class`, and one more; none of `but`. What is chosen
    /// counts as used until the next look.
    pub(super) fn choose(
        &mut self,
        class: Option<Class>,
        count: u32,
        but: &[WorkerId],
        mut draw: impl FnMut(usize) -> usize,
    ) -> Choice {
        if self.workers.is_empty() {
            return Choice::Everybody;
        }
        let needs = class.and_then(|class| self.classes.get(&class));
        let able =
            |known: &Known| !but.contains(&known.worker) && needs.is_none_or(|needs| known.serves.can(needs));
        let mut able: Vec<usize> = (0..self.workers.len())
            .filter(|at| able(&self.workers[*at]))
            .collect();
        let (mut chosen, mut covered) = (Vec::new(), 0);
        while !able.is_empty() && chosen.len() < NAMED_MAX {
            let (one, other) = (draw(able.len()), draw(able.len()));
            let free = |at: usize| self.workers[able[at]].free;
            let place = if free(other) > free(one) { other } else { one };
            let worker = &mut self.workers[able.swap_remove(place)];
            chosen.push(worker.worker);
            if covered >= count {
                // that was the one more
                break;
            }
            let used = worker.free.clamp(1, count - covered);
            worker.free = worker.free.saturating_sub(used);
            covered += used;
        }
        Choice::Workers(chosen)
    }

    /// Whether somebody other than `but` said that there is room.
    pub(super) fn knows_room_beside(&self, but: &[WorkerId]) -> bool {
        let mut others = self.workers.iter().filter(|known| !but.contains(&known.worker));
        others.any(|known| known.free > 0)
    }
}

async fn read(pool: &PgPool) -> Result<(HashMap<Class, Needs>, Vec<Known>), sqlx::Error> {
    let classes = sqlx::query!("select id, scan_type, tools, worlds from control.lane_class")
        .fetch_all(pool)
        .await?;
    // how long one may be silent is the settings' matter: the sweep buries those that were for longer
    let workers = sqlx::query!(
        r#"
        select id, free_slots, capabilities from control.worker
        where state in ('idle', 'busy') order by heartbeat_at desc limit $1
        "#,
        KNOWN_MAX
    )
    .fetch_all(pool)
    .await?;
    let needs = classes.into_iter().map(|row| {
        let needs = Needs {
            scan_type: row.scan_type,
            tools: row.tools,
            worlds: row.worlds,
        };
        (row.id, needs)
    });
    let known = workers.into_iter().map(|row| Known {
        worker: row.id.into(),
        free: row.free_slots.unsigned_abs(),
        serves: Serves::of_capabilities(&row.capabilities),
    });
    Ok((needs.collect(), known.collect()))
}

/// A worker of this process that listens.
#[derive(Debug)]
struct Post {
    worker: WorkerId,
    serves: Serves,
    free: AtomicU32,
    bell: Notify,
}

/// The workers of this process that listen.
#[derive(Debug, Clone, Default)]
pub(super) struct Posts(Arc<Mutex<Vec<Arc<Post>>>>);

impl Posts {
    fn all(&self) -> Vec<Arc<Post>> {
        // a panic elsewhere leaves a list that is still a list
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn workers(&self) -> Vec<WorkerId> {
        self.all().iter().map(|post| post.worker).collect()
    }

    /// Wakes those with room for tickets that need `needs`; answers how many tickets are left for others.
    pub(super) fn wake_with_room(&self, needs: Option<&Needs>, count: u32) -> u32 {
        let mut left = count;
        for post in self.all() {
            let free = post.free.load(Ordering::Relaxed);
            if left == 0 {
                break;
            }
            if free > 0 && needs.is_none_or(|needs| post.serves.can(needs)) {
                post.bell.notify_one();
                left = left.saturating_sub(free);
            }
        }
        left
    }

    /// Whether one of them serves such tickets, with room or without.
    pub(super) fn serve(&self, needs: &Needs) -> bool {
        self.all().iter().any(|post| post.serves.can(needs))
    }

    /// Wakes `worker`. `None`: it is not here; `Some(false)`: it has no room, or cannot serve `needs`.
    pub(super) fn wake(&self, worker: WorkerId, needs: Option<&Needs>) -> Option<bool> {
        let post = self.all().into_iter().find(|post| post.worker == worker)?;
        let able = needs.is_none_or(|needs| post.serves.can(needs));
        let room = able && post.free.load(Ordering::Relaxed) > 0;
        if room {
            post.bell.notify_one();
        }
        Some(room)
    }

    pub(super) fn wake_all(&self) {
        for post in self.all() {
            post.bell.notify_one();
        }
    }
}

/// A worker's ear for tickets; it is no longer woken when this is dropped. A wake is a hint and may be lost:
/// look by yourself now and then.
#[derive(Debug)]
pub struct TicketBell {
    post: Arc<Post>,
    signals: Signals,
}

impl TicketBell {
    pub(super) fn hang(signals: &Signals, worker: WorkerId, serves: Serves) -> Self {
        let post = Arc::new(Post {
            worker,
            serves,
            free: AtomicU32::new(0),
            bell: Notify::new(),
        });
        let mut posts = signals.posts.0.lock().unwrap_or_else(PoisonError::into_inner);
        posts.push(Arc::clone(&post));
        drop(posts);
        Self {
            post,
            signals: signals.clone(),
        }
    }

    /// Returns when tickets may be ready for this worker. One wake is remembered while nobody waits.
    pub async fn rings(&self) {
        self.post.bell.notified().await;
    }

    /// How many more tickets this worker takes from now on. Say so before every wait.
    pub fn room(&self, free: u32) {
        self.post.free.store(free, Ordering::Relaxed);
    }

    /// This worker has claimed all that it has room for, and there may be more: one with room is woken.
    pub fn pass_on(&self) {
        self.room(0);
        self.signals.tell(News::Filled {
            worker: self.post.worker,
        });
    }
}

impl Drop for TicketBell {
    fn drop(&mut self) {
        let mut posts = self
            .signals
            .posts
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        posts.retain(|post| !Arc::ptr_eq(post, &self.post));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(free: &[u32]) -> Directory {
        let known = |free: &u32| Known {
            worker: WorkerId::fresh(),
            free: *free,
            serves: Serves {
                tools: vec!["semgrep".to_owned()],
                ..Serves::default()
            },
        };
        let needs = |tool: &str| Needs {
            tools: vec![tool.to_owned()],
            ..Needs::default()
        };
        Directory {
            classes: HashMap::from([(1, needs("semgrep")), (2, needs("nmap"))]),
            workers: free.iter().map(known).collect(),
            read_at: None,
        }
    }

    fn chosen(directory: &mut Directory, class: Class, count: u32) -> usize {
        match directory.choose(Some(class), count, &[], |length| length - 1) {
            Choice::Workers(workers) => workers.len(),
            Choice::Everybody => usize::MAX,
        }
    }

    #[test]
    fn as_many_are_woken_as_the_tickets_need_and_one_more() {
        assert_eq!(chosen(&mut directory(&[1; 10]), 1, 1), 2);
        assert_eq!(chosen(&mut directory(&[1; 10]), 1, 3), 4);
        assert_eq!(chosen(&mut directory(&[4; 10]), 1, 3), 2);
        assert_eq!(chosen(&mut directory(&[4; 10]), 1, 5), 3);
        assert_eq!(chosen(&mut directory(&[1]), 1, 5), 1);
        assert_eq!(chosen(&mut directory(&[1; 200]), 1, 500), NAMED_MAX);
        // what is known may be old: those who seem full are asked as well
        assert_eq!(chosen(&mut directory(&[0; 10]), 1, 1), 2);
    }

    #[test]
    fn nobody_is_woken_who_cannot_serve_the_class_and_everybody_if_none_is_known() {
        assert_eq!(chosen(&mut directory(&[1; 10]), 2, 1), 0);
        assert_eq!(chosen(&mut directory(&[]), 1, 1), usize::MAX);
    }

    #[test]
    fn who_was_chosen_counts_as_used_and_the_one_with_more_room_wins() {
        let mut directory = directory(&[1, 3]);
        let roomy = directory.workers[1].worker;
        let mut draws = [0, 1, 0, 0].into_iter();
        let choice = directory.choose(Some(1), 1, &[], |_| draws.next().unwrap());
        assert!(matches!(choice, Choice::Workers(workers) if workers[0] == roomy && workers.len() == 2));
        assert_eq!((directory.workers[0].free, directory.workers[1].free), (1, 2));
    }

    #[test]
    fn workers_of_this_process_are_woken_as_far_as_their_room_goes() {
        let posts = Posts::default();
        for free in [2, 0, 1] {
            let post = Post {
                worker: WorkerId::fresh(),
                serves: Serves::default(),
                free: AtomicU32::new(free),
                bell: Notify::new(),
            };
            posts.0.lock().unwrap().push(Arc::new(post));
        }
        assert_eq!(posts.wake_with_room(None, 2), 0);
        assert_eq!(posts.wake_with_room(None, 5), 2);
        let demanding = Needs {
            tools: vec!["nmap".to_owned()],
            ..Needs::default()
        };
        assert_eq!(posts.wake_with_room(Some(&demanding), 1), 1);
        let workers = posts.workers();
        assert_eq!(posts.wake(workers[0], None), Some(true));
        assert_eq!(posts.wake(workers[0], Some(&Needs::default())), Some(true));
        assert_eq!(posts.wake(workers[0], Some(&demanding)), Some(false));
        assert_eq!(posts.wake(workers[1], None), Some(false));
        assert_eq!(posts.wake(WorkerId::fresh(), None), None);
        assert!(posts.serve(&Needs::default()) && !posts.serve(&demanding));
    }

    #[test]
    fn what_a_worker_is_kept_to_is_read_from_its_registration() {
        let web = Needs {
            scan_type: "web".to_owned(),
            ..Needs::default()
        };
        for (capabilities, can) in [
            (serde_json::json!({}), true),
            (serde_json::json!({ "keptTo": [] }), true),
            (serde_json::json!({ "keptTo": ["pcap", "web"] }), true),
            (
                serde_json::json!({ "keptTo": ["pcap"], "scanTypes": ["web"] }),
                false,
            ),
        ] {
            let serves = Serves::of_capabilities(&capabilities);
            assert_eq!(serves.can(&web), can, "{capabilities}");
        }
    }
}
