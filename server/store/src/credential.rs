//! The right to work on one task.
//!
//! Whoever claimed a ticket has it, and gives the attempt number with every write: a right does not say that
//! the lease still stands.

use tamiz_core::{TaskId, TenantId, WorkerId};

use crate::queue::{Claim, Lease};
use crate::scope::TenantScope;

/// One attempt at one task, and who may make it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseRight {
    /// The right to the rows of the task's tenant.
    pub scope: TenantScope,
    /// The task.
    pub task: TaskId,
    /// The fencing token.
    pub attempt: i32,
    /// Who claimed it.
    pub worker: WorkerId,
}

impl LeaseRight {
    /// Of `worker`, which claimed `lease`.
    pub const fn of(lease: &Lease, worker: WorkerId) -> Self {
        Self {
            scope: lease.scope,
            task: lease.task,
            attempt: lease.attempt,
            worker,
        }
    }

    /// The claim's name.
    pub const fn claim(&self) -> Claim {
        Claim {
            tenant: self.tenant(),
            task: self.task,
            attempt: self.attempt,
        }
    }

    /// Whose task it is.
    pub const fn tenant(&self) -> TenantId {
        self.scope.tenant_id()
    }
}
