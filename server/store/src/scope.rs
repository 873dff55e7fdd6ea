//! The right to one tenant's rows.

use tamiz_core::TenantId;

/// Names one tenant, and proves that whoever holds it came through a verified token, a claimed ticket, the
/// credential of its lease, a due schedule or webhook, or a command of the operator: its field is private and only this crate makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TenantScope {
    tenant: TenantId,
}

impl TenantScope {
    /// Only for `token` (after the hash was compared), `queue` (of a claimed ticket), `credential` (whose
    /// signature was compared), `schedule` and `webhook` (of what is
    /// due) and `tenant` (for the operator's commands).
    pub(crate) const fn of(tenant: TenantId) -> Self {
        Self { tenant }
    }

    /// Whose rows.
    pub const fn tenant_id(&self) -> TenantId {
        self.tenant
    }
}
