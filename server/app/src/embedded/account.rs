//! Whom Postgres runs as: it refuses to be root, and should not be able to touch what root owns.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::EmbeddedError;

/// A user that Postgres runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// The account for a cluster: none when we are an ordinary user, else the owner of the existing
/// cluster, else `postgres`, else `nobody`.
pub(super) fn choose(cluster: &Path) -> Result<Option<Account>, EmbeddedError> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    if let Ok(metadata) = std::fs::symlink_metadata(cluster)
        && metadata.uid() != 0
    {
        return Ok(Some(Account {
            uid: metadata.uid(),
            gid: metadata.gid(),
        }));
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let found = ["postgres", "nobody"].iter().find_map(|name| find(&users, name));
    found.map(Some).ok_or(EmbeddedError::NoAccount)
}

/// One user of a passwd file: `name:x:uid:gid:…`.
fn find(users: &str, name: &str) -> Option<Account> {
    let mut fields = users.lines().map(|line| line.split(':')).find_map(|mut fields| {
        let found = fields.next() == Some(name);
        found.then_some(fields)
    })?;
    let uid = fields.nth(1)?.parse().ok().filter(|uid| *uid != 0)?;
    let gid = fields.next()?.parse().ok()?;
    Some(Account { uid, gid })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name_and_never_as_root() {
        let users =
            "root:x:0:0::/:/bin/sh\npostgresql:x:7:8::/:\npostgres:x:101:104::/:/bin/sh\nevil:x:0:0::/:\n";
        assert_eq!(find(users, "postgres"), Some(Account { uid: 101, gid: 104 }));
        assert_eq!(find(users, "nobody"), None);
        assert_eq!(find(users, "evil"), None);
    }
}
