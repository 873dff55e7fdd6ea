//! The rules of the keys of the API.

use std::num::NonZeroU32;
use std::path::PathBuf;

use super::{Reader, listed};
use crate::config::typed::{ApiSettings, ArchiveSettings, GraphqlSettings, Places, RateLimit};
use crate::config::value::{self, Network, Origin};

/// Standard introspection queries are about 15 deep; a smaller limit breaks every GraphQL tool.
const GRAPHQL_DEPTH_MIN: u64 = 15;
/// A minute has so many microseconds, and points are counted in them.
const COST_PER_MINUTE_MAX: u64 = 60_000_000;
/// More connections than this one process of any machine serves.
const CONNECTIONS_MAX: u64 = 1_000_000;

impl Reader<'_> {
    pub(super) fn api(&mut self, archive: Option<ArchiveSettings>) -> Option<ApiSettings> {
        let public_url = self.url("public_url", &["http", "https"]);
        // 4 GiB is what a plugin can address of one report, and one object-store copy can move.
        let upload_bytes_max = self.size("upload_bytes_max", 1..=4 << 30);
        let requests_per_second = self.count("rate_requests_per_second", 1..=1_000_000);
        let burst = self.count("rate_burst", 1..=1_000_000);
        let trusted_proxies = self.optional("trusted_proxies", listed::<Network>);
        let cors_origins = self.optional("cors_origins", listed::<Origin>);
        let depth = self.count("graphql_depth_max", GRAPHQL_DEPTH_MIN..=100);
        let complexity = self.count("graphql_complexity_max", 100..=10_000_000);
        // The store's own bound is the ceiling; pages under ten rows cost more than they save.
        let page = self.count(
            "graphql_page_max",
            10..=u64::from(tamiz_core::limits::PAGE_ROWS_MAX),
        );
        let graphql = self.graphql(complexity);
        let places = self.places();
        let rate = RateLimit {
            requests_per_second: NonZeroU32::new(u32::try_from(requests_per_second?).ok()?)?,
            burst: NonZeroU32::new(u32::try_from(burst?).ok()?)?,
        };
        Some(ApiSettings {
            public_url: public_url?,
            archive_entries_max: archive?.entries_max,
            upload_bytes_max: upload_bytes_max?,
            rate,
            trusted_proxies: trusted_proxies.unwrap_or_default(),
            cors_origins: cors_origins.unwrap_or_default(),
            graphql_depth_max: usize::try_from(depth?).ok()?,
            graphql_complexity_max: usize::try_from(complexity?).ok()?,
            graphql_page_max: usize::try_from(page?).ok()?,
            graphql: graphql?,
            places: places?,
        })
    }

    fn graphql(&mut self, complexity: Option<u64>) -> Option<GraphqlSettings> {
        let cost_per_minute = self.count("graphql_cost_per_minute", 0..=COST_PER_MINUTE_MAX);
        // A query that is let in must be payable at all.
        let too_small = |points: u64| points > 0 && complexity.is_some_and(|complexity| points < complexity);
        if cost_per_minute.is_some_and(too_small) {
            self.refuse("graphql_cost_per_minute", "0 or at least graphql_complexity_max");
            return None;
        }
        // Statements of the database end after a minute in any case.
        let timeout = self.duration("graphql_timeout_seconds", 1..=60);
        let introspection = self.with("graphql_introspection", value::flag);
        // A page asks a dozen things at once; what needs more asks in one document.
        let batch_max = self.count("graphql_batch_max", 0..=100);
        let trusted_documents = self.optional("trusted_documents", |text| Ok(PathBuf::from(text)));
        let trusted_documents_only = self.with("trusted_documents_only", value::flag);
        if trusted_documents_only == Some(true) && trusted_documents.is_none() {
            self.refuse("trusted_documents_only", "false without trusted_documents");
            return None;
        }
        Some(GraphqlSettings {
            cost_per_minute: NonZeroU32::new(u32::try_from(cost_per_minute?).ok()?),
            timeout: timeout?,
            introspection: introspection?,
            batch_max: usize::try_from(batch_max?).ok()?,
            trusted_documents,
            trusted_documents_only: trusted_documents_only?,
        })
    }

    fn places(&mut self) -> Option<Places> {
        let mut places = |name| self.count(name, 1..=CONNECTIONS_MAX);
        let connections = places("connections_max");
        let of_one_address = places("connections_per_address_max");
        let streams = places("streams_max");
        let streams_of_one_tenant = places("streams_per_tenant_max");
        Some(Places {
            connections: usize::try_from(connections?).ok()?,
            connections_of_one_address: usize::try_from(of_one_address?).ok()?,
            streams: usize::try_from(streams?).ok()?,
            streams_of_one_tenant: usize::try_from(streams_of_one_tenant?).ok()?,
        })
    }
}
