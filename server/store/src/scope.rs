//! The right to one tenant's rows.

use tamiz_core::TenantId;
use uuid::Uuid;

/// Names one tenant, and proves that whoever holds it came through a verified token, a claimed ticket, the
/// credential of its lease, a due schedule or webhook, or a command of the operator: its field is private and only this crate makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TenantScope {
    tenant: TenantId,
    /// Of the request with an idempotency key that is being carried out: what is written in this scope marks the key.
    run: Option<Uuid>,
}

impl TenantScope {
    /// Only for `token` (after the hash was compared), `queue` (of a claimed ticket), `credential` (whose
    /// signature was compared), `schedule` and `webhook` (of what is
    /// due) and `tenant` (for the operator's commands).
    pub(crate) const fn of(tenant: TenantId) -> Self {
        Self { tenant, run: None }
    }

    /// The same rows, written for the run of a request with an idempotency key (see `idempotency`).
    pub(crate) const fn for_run(self, run: Uuid) -> Self {
        Self {
            run: Some(run),
            ..self
        }
    }

    /// The same rows, for what is no part of the request's own work: its reads, and notes about it.
    #[must_use]
    pub const fn aside(self) -> Self {
        Self { run: None, ..self }
    }

    pub(crate) const fn run(&self) -> Option<Uuid> {
        self.run
    }

    /// Whose rows.
    pub const fn tenant_id(&self) -> TenantId {
        self.tenant
    }
}
