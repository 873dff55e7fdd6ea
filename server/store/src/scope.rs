//! The right to one tenant's rows.

use tamiz_core::TenantId;

/// Names one tenant, and proves that whoever holds it came through a verified token or a claimed
/// ticket: its field is private and only this crate makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TenantScope {
    tenant: TenantId,
}

impl TenantScope {
    /// Only for `token` (after the hash was compared) and `queue` (of a claimed ticket).
    pub(crate) const fn of(tenant: TenantId) -> Self {
        Self { tenant }
    }

    /// Whose rows.
    pub const fn tenant_id(&self) -> TenantId {
        self.tenant
    }
}
