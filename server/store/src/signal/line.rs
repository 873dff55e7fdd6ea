//! What stands in notifications: many names in each, for Postgres counts notifications, not bytes.

use std::str::FromStr;

use sqlx::postgres::{PgListener, PgPool};
use tamiz_core::{TaskId, TenantId, WorkerId};

use super::wake::{Choice, Class};
use super::{Hop, Signal};

const WAKES: &str = "tamiz_wake";
const TASKS: &str = "tamiz_task";
const CANCELS: &str = "tamiz_cancel";
/// Postgres takes payloads of fewer than 8,000 bytes.
const PAYLOAD_BYTES_MAX: usize = 7_900;
/// A wake for whoever listens.
const EVERYBODY: &str = "*";

/// What came over the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    Signal(Signal),
    WakeAll,
    Wake {
        worker: WorkerId,
        class: Option<Class>,
        hop: Hop,
    },
}

/// What goes over the line with one statement.
#[derive(Debug, Default)]
pub(super) struct Line {
    channels: Vec<String>,
    payloads: Vec<String>,
}

impl Line {
    pub(super) fn cancels(&mut self, tasks: impl Iterator<Item = TaskId>) {
        self.put(CANCELS, tasks.map(|task| task.to_string()));
    }

    pub(super) fn tasks(&mut self, tasks: impl Iterator<Item = (TenantId, TaskId)>) {
        self.put(TASKS, tasks.map(|(tenant, task)| format!("{tenant}/{task}")));
    }

    pub(super) fn wakes(&mut self, choice: Choice, class: Option<Class>, hop: Hop) {
        let (class, hop) = (class.unwrap_or(0), u8::from(hop == Hop::Last));
        match choice {
            Choice::Workers(workers) => {
                let names = workers
                    .into_iter()
                    .map(|worker| format!("{worker}/{class}/{hop}"));
                self.put(WAKES, names);
            }
            Choice::Everybody => self.put(WAKES, std::iter::once(EVERYBODY.to_owned())),
        }
    }

    fn put(&mut self, channel: &str, names: impl Iterator<Item = String>) {
        let mut payload = String::new();
        for name in names {
            if payload.len() + name.len() >= PAYLOAD_BYTES_MAX {
                self.channels.push(channel.to_owned());
                self.payloads.push(std::mem::take(&mut payload));
            }
            if !payload.is_empty() {
                payload.push(',');
            }
            payload.push_str(&name);
        }
        if !payload.is_empty() {
            self.channels.push(channel.to_owned());
            self.payloads.push(payload);
        }
    }

    pub(super) fn into_payloads(self) -> (Vec<String>, Vec<String>) {
        (self.channels, self.payloads)
    }
}

pub(super) async fn listen(pool: &PgPool) -> Result<PgListener, sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.eager_reconnect(false);
    listener.listen_all([WAKES, TASKS, CANCELS]).await?;
    Ok(listener)
}

/// What a notification says; names that cannot be read are left out.
pub(super) fn decode(channel: &str, payload: &str) -> impl Iterator<Item = Heard> {
    payload.split(',').filter_map(move |name| match channel {
        WAKES if name == EVERYBODY => Some(Heard::WakeAll),
        WAKES => {
            let mut parts = name.split('/');
            let worker = WorkerId::from_str(parts.next()?).ok()?;
            let class: Class = parts.next()?.parse().ok()?;
            Some(Heard::Wake {
                worker,
                class: (class != 0).then_some(class),
                hop: if parts.next()? == "0" {
                    Hop::First
                } else {
                    Hop::Last
                },
            })
        }
        TASKS => {
            let (tenant, task) = name.split_once('/')?;
            Some(Heard::Signal(Signal::Task {
                tenant: TenantId::from_str(tenant).ok()?,
                task: TaskId::from_str(task).ok()?,
            }))
        }
        CANCELS => Some(Heard::Signal(Signal::Cancel {
            task: TaskId::from_str(name).ok()?,
        })),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_into_the_line_comes_out_of_it_in_few_notifications() {
        let tasks: Vec<_> = (0..250).map(|_| (TenantId::fresh(), TaskId::fresh())).collect();
        let (cancel, worker) = (TaskId::fresh(), WorkerId::fresh());
        let mut line = Line::default();
        line.tasks(tasks.iter().copied());
        line.cancels(std::iter::once(cancel));
        line.wakes(Choice::Workers(vec![worker]), Some(7), Hop::First);
        line.wakes(Choice::Everybody, None, Hop::Last);
        let (channels, payloads) = line.into_payloads();
        assert_eq!(channels.len(), 6, "three for 250 tasks");
        assert!(payloads.iter().all(|payload| payload.len() < 8_000));
        let heard: Vec<Heard> = channels
            .iter()
            .zip(&payloads)
            .flat_map(|(channel, payload)| decode(channel, payload))
            .collect();
        let mut said: Vec<Heard> = tasks
            .iter()
            .map(|(tenant, task)| {
                Heard::Signal(Signal::Task {
                    tenant: *tenant,
                    task: *task,
                })
            })
            .collect();
        said.push(Heard::Signal(Signal::Cancel { task: cancel }));
        said.push(Heard::Wake {
            worker,
            class: Some(7),
            hop: Hop::First,
        });
        said.push(Heard::WakeAll);
        assert_eq!(heard, said);
    }

    #[test]
    fn nonsense_is_left_out() {
        for (channel, payload) in [
            (TASKS, "nonsense"),
            (WAKES, "x/1/0,,/"),
            (CANCELS, ""),
            ("other", "*"),
        ] {
            assert_eq!(decode(channel, payload).count(), 0, "{channel} {payload}");
        }
    }
}
