//! Routes of filters' own: HTTP that is not MCP, answered before anybody has said who they are.
//!
//! A request here is no exchange. It has no principal, passes one filter and not the chain, and is written down by itself.

use crate::{
    attributes::Attributes,
    fault::Fault,
    filter::Hook,
    generation::{Generation, Link, Mode},
    host::Host,
    record::RouteCall,
    rescue::Error,
};
use bytes::Bytes;
use std::{sync::Arc, time::Instant};

/// A path at which a filter answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// A path, or with `*` at its end every path that begins so.
    pub path: String,
    /// HTTP methods, upper case.
    pub methods: Vec<String>,
}

impl Route {
    /// Does this path lead here?
    pub fn leads(&self, path: &str) -> bool {
        match self.path.strip_suffix('*') {
            Some(stem) => path.starts_with(stem),
            None => self.path == path,
        }
    }

    /// Is there a path that leads to both?
    pub fn meets(&self, other: &Route) -> bool {
        self.leads(other.stem()) || other.leads(self.stem())
    }

    fn stem(&self) -> &str {
        self.path.strip_suffix('*').unwrap_or(&self.path)
    }
}

/// A request to a route.
#[derive(Debug)]
pub struct RouteRequest {
    /// Host-wide id, under which log and audit know it.
    pub id: u64,
    /// Upper case.
    pub method: String,
    /// As the client wrote it, percent signs and all.
    pub path: String,
    /// Behind the `?`, undecoded.
    pub query: Option<String>,
    /// Lower-case names; without credentials and what belongs to the connection.
    pub headers: Vec<(String, String)>,
    /// Within the listener's bound.
    pub body: Bytes,
    /// As the client reached the host: `https://mcp.example.com`.
    pub base: String,
}

/// A filter's answer to one. The filter's implementation has checked it.
#[derive(Debug)]
pub struct RouteResponse {
    /// 200 to 599.
    pub status: u16,
    /// Lower-case names, none that belong to the connection or the origin.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

/// Why no filter answered.
#[derive(Debug)]
pub enum Unrouted {
    /// None serves this path with this method, or the ones that do were passed over.
    Nobody,
    /// As many as may are being answered already.
    Busy,
    /// A filter broke.
    Broke(Error),
    /// The host did.
    Lost,
}

impl Link {
    fn serves(&self, method: &str, path: &str) -> bool {
        self.exports(Hook::OnHttp)
            && self.filter.interest().routes.iter().any(|route| route.leads(path) && route.methods.iter().any(|own| own == method))
    }
}

impl Generation {
    /// The HTTP methods that filters serve at this path; none: there is nothing.
    pub fn route_methods(&self, path: &str) -> Vec<&str> {
        let routes = self
            .links
            .iter()
            .filter(|link| link.exports(Hook::OnHttp))
            .flat_map(|link| &link.filter.interest().routes)
            .filter(|route| route.leads(path));
        let mut methods: Vec<_> = routes.flat_map(|route| &route.methods).map(String::as_str).collect();
        methods.sort_unstable();
        methods.dedup();
        methods
    }
}

impl Host {
    /// Answer a request to a route, by the first filter in config order that serves it. It runs in a task of its own, so a client
    /// that leaves cancels no guest.
    ///
    /// # Errors
    /// [`Unrouted`].
    pub async fn answer_route(
        self: &Arc<Self>,
        generation: Arc<Generation>,
        request: RouteRequest,
        facts: Attributes,
    ) -> Result<RouteResponse, Unrouted> {
        let Ok(permit) = self.route_calls.clone().try_acquire_owned() else { return Err(Unrouted::Busy) };
        let host = self.clone();
        let answered = tokio::spawn(async move {
            let _until_answered = permit;
            host.ask_filters(&generation, &request, &facts).await
        });
        // A bug of ours costs this request its answer, and nobody else anything.
        answered.await.unwrap_or(Err(Unrouted::Lost))
    }

    async fn ask_filters(&self, generation: &Generation, request: &RouteRequest, facts: &Attributes) -> Result<RouteResponse, Unrouted> {
        for link in generation.links.iter().filter(|link| link.serves(&request.method, &request.path)) {
            if let Some(end) = self.ask_filter(link, request, facts.clone()).await {
                return end;
            }
        }
        Err(Unrouted::Nobody)
    }

    /// One filter's answer under the operator's policy; none when it is passed over.
    async fn ask_filter(&self, link: &Link, request: &RouteRequest, facts: Attributes) -> Option<Result<RouteResponse, Unrouted>> {
        let began = Instant::now();
        let result = match link.routes.admit() {
            Ok(()) => link.filter.on_http(request, facts).await,
            Err(retry_after) => Err(Fault::Open { retry_after }),
        };
        let took = began.elapsed();
        let identity = link.filter.identity();
        identity.calls.count(Hook::OnHttp, took);
        let (verdict, end) = match result {
            Ok(response) => {
                link.routes.succeeded();
                match link.policy.mode {
                    Mode::Enforce => ("answered", Some(Ok(response))),
                    Mode::Audit => ("audit:answered", None),
                }
            }
            Err(fault) => {
                let is_skipped = link.broke(Hook::OnHttp, &fault, &*self.observer);
                let label = if is_skipped { fault.bypassed_label() } else { fault.label() };
                (label, (!is_skipped).then(|| Err(Unrouted::Broke(Error::Plugin { plugin: identity.name.to_string(), fault }))))
            }
        };
        let status = match &end {
            Some(Ok(response)) => Some(response.status),
            _ => None,
        };
        let RouteRequest { id, method, path, .. } = request;
        self.observer.route_called(&RouteCall { id: *id, filter: identity, method, path, verdict, status, took });
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_leads_to_all_that_begin_so_and_nothing_else_does() {
        let route = |path: &str| Route { path: path.into(), methods: vec!["GET".into()] };
        for (pattern, path, leads) in [
            ("/-/a/x", "/-/a/x", true),
            ("/-/a/x", "/-/a/x/", false),
            ("/-/a/x", "/-/a", false),
            ("/-/a/*", "/-/a/", true),
            ("/-/a/*", "/-/a/b/c", true),
            ("/-/a/*", "/-/a", false),
            ("/-/a/*", "/-/ab", false),
            ("/.well-known/x*", "/.well-known/x/mcp", true),
        ] {
            assert_eq!(route(pattern).leads(path), leads, "{pattern} {path}");
        }
    }

    #[test]
    fn routes_meet_where_one_path_leads_to_both() {
        let route = |path: &str| Route { path: path.into(), methods: vec!["GET".into()] };
        for (a, b, meet) in [
            ("/-/a/x", "/-/a/x", true),
            ("/-/a/x", "/-/a/y", false),
            ("/-/a/*", "/-/a/y", true),
            ("/-/a/*", "/-/a/y*", true),
            ("/-/a/x", "/-/a/xy*", false),
        ] {
            assert_eq!((route(a).meets(&route(b)), route(b).meets(&route(a))), (meet, meet), "{a} {b}");
        }
    }
}
