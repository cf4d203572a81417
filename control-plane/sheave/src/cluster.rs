//! What an operator says about the cluster that the controllers keep: its pod addresses, its load balancers, how long a
//! node may be silent.

use std::time::Duration;

use anyhow::{Result, bail};
use ipnetwork::IpNetwork;
use sheave_controllers::{Cidr, Pool, Selection};

/// Command line of what the cluster keeps and for how long.
#[derive(Clone, Debug, clap::Args)]
pub struct ClusterArguments {
    /// Which controllers run: `*` for all, `-name` to leave one out.
    #[arg(long, value_name = "LIST", default_value = "*", allow_hyphen_values = true)]
    pub controllers: Selection,
    /// Range of pod addresses; two of different families, separated by a comma, for dual stack. Every node gets a
    /// piece of each: a /24 of IPv4, a /64 of IPv6. An empty text: nodes get none.
    #[arg(long, value_name = "CIDR", default_value = "10.244.0.0/16,fd00:10:244::/56")]
    pub pod_cidr: String,
    /// Addresses for Services of type LoadBalancer: CIDRs and FIRST-LAST ranges of one or both families, separated by
    /// commas. Without it those Services wait for an address.
    #[arg(long, value_name = "CIDR|FIRST-LAST,...")]
    pub load_balancer_pool: Option<Pool>,
    /// How long a node may be silent before it counts as lost, in seconds (`40`, `40s`) or as `2m`, `500ms`.
    #[arg(long, value_name = "DURATION", default_value = "40s", value_parser = duration)]
    pub node_monitor_grace_period: Duration,
    /// How long an event stays after it was last written.
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = duration)]
    pub event_ttl: Duration,
}

// === impl ClusterArguments ===

impl ClusterArguments {
    /// The controllers' options, checked against the ranges of cluster IPs.
    ///
    /// # Errors
    /// When the pod ranges are not what a cluster can have.
    pub fn options(self, service_cidrs: &[IpNetwork]) -> Result<sheave_controllers::Options> {
        let pod_cidrs = parse_pod_cidrs(&self.pod_cidr)?;
        check_apart(&pod_cidrs, service_cidrs)?;
        Ok(sheave_controllers::Options {
            controllers: self.controllers,
            pod_cidrs,
            load_balancer_pool: self.load_balancer_pool,
            node_monitor_grace_period: self.node_monitor_grace_period,
            ..sheave_controllers::Options::default()
        })
    }
}

/// Kubernetes' durations, as far as an operator needs them: a number and one unit, seconds without one.
fn duration(text: &str) -> Result<Duration, String> {
    let invalid = || format!("{text:?} is no duration such as 40s, 2m or 500ms");
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number: u64 = number.parse().map_err(|_| invalid())?;
    let seconds = |each: u64| number.checked_mul(each).map(Duration::from_secs).ok_or_else(invalid);
    let duration = match unit {
        "ms" => Duration::from_millis(number),
        "" | "s" => seconds(1)?,
        "m" => seconds(60)?,
        "h" => seconds(3600)?,
        _ => return Err(invalid()),
    };
    if duration.is_zero() {
        Err(format!("{text:?} is no time at all: a node needs a moment to report"))
    } else {
        Ok(duration)
    }
}

fn parse_pod_cidrs(text: &str) -> Result<Vec<Cidr>> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let ranges = parts.map(str::parse::<Cidr>).collect::<Result<Vec<_>, _>>()?;
    let same_family = ranges.len() == 2 && ranges[0].is_ipv6() == ranges[1].is_ipv6();
    if ranges.len() > 2 || same_family {
        bail!("--pod-cidr {text}: give one range, or two of different families");
    }
    Ok(ranges)
}

/// A pod with the address of a Service could not be reached.
fn check_apart(pods: &[Cidr], services: &[IpNetwork]) -> Result<()> {
    for service in services {
        let service: Cidr = service.to_string().parse()?;
        if let Some(pod) = pods.iter().find(|pod| pod.overlaps(service)) {
            bail!("--pod-cidr {pod} and --service-cidr {service} have addresses in common: choose ranges that do not");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        cluster: ClusterArguments,
    }

    fn options(arguments: &[&str]) -> Result<sheave_controllers::Options> {
        let line = Line::try_parse_from([&["sheave"], arguments].concat())?;
        line.cluster.options(&["10.96.0.0/12".parse()?, "fd00:10:96::/112".parse()?])
    }

    #[test]
    fn without_arguments_it_is_as_kubernetes_has_it() {
        let options = options(&[]).unwrap();
        let ranges: Vec<_> = options.pod_cidrs.iter().map(Cidr::to_string).collect();
        assert_eq!(ranges, ["10.244.0.0/16", "fd00:10:244::/56"]);
        assert_eq!(options.node_monitor_grace_period, Duration::from_secs(40));
        assert!(options.load_balancer_pool.is_none());
    }

    #[test]
    fn what_is_said_is_taken() {
        let pool = "--load-balancer-pool=192.0.2.0/28,192.0.2.100-192.0.2.110,2001:db8::/120";
        let options = options(&["--pod-cidr", "10.10.0.0/16", pool, "--node-monitor-grace-period", "1500ms"]).unwrap();
        assert_eq!(options.pod_cidrs.len(), 1);
        assert!(options.load_balancer_pool.is_some());
        assert_eq!(options.node_monitor_grace_period, Duration::from_millis(1500));
        assert!(self::options(&["--pod-cidr="]).unwrap().pod_cidrs.is_empty());
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_reason() {
        for (arguments, complaint) in [
            (&["--pod-cidr", "10.244.0.0"][..], "is not a CIDR"),
            (&["--pod-cidr", "10.1.0.0/16,10.2.0.0/16"], "two of different families"),
            (&["--pod-cidr", "10.1.0.0/16,fd00::/56,10.2.0.0/16"], "two of different families"),
            (&["--pod-cidr", "10.100.0.0/16"], "have addresses in common"),
            (&["--pod-cidr", "fd00:10:96::/56"], "have addresses in common"),
            (&["--load-balancer-pool", "192.0.2.9-192.0.2.1"], "neither a CIDR"),
            (&["--node-monitor-grace-period", "soon"], "is no duration"),
            (&["--node-monitor-grace-period", "0"], "no time at all"),
        ] {
            let error = format!("{:#}", options(arguments).unwrap_err());
            assert!(error.contains(complaint), "{arguments:?}: {error}");
        }
    }
}
