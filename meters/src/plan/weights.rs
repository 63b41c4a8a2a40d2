//! How heavy a Terraform resource type is.
//!
//! Must never know: plans, actions. Invariant: every type name has a weight; unknown ones have the lightest that is not
//! a child's.
//!
//! A type name is a provider and words (`aws_db_subnet_group`). Its head noun is at the end, so the words are looked up
//! from the last to the first and the first known one decides: `subnet` before `db`.

/// What kind of thing a resource type is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Compute, databases, clusters.
    Compute,
    /// Networks and load balancers.
    Network,
    /// Volumes, buckets, registries, queues.
    Storage,
    /// Identity, names, secrets, and whatever is not known.
    Identity,
    /// A rule, attachment or record: a detail of a parent, which is worth at most one point of them.
    Child,
}

impl Class {
    /// In hundredths of a point.
    pub fn weight(self) -> u64 {
        match self {
            Self::Compute => 400,
            Self::Network | Self::Storage => 200,
            Self::Identity => 100,
            Self::Child => 10,
        }
    }
}

/// The most that the children of one parent are worth together, in hundredths.
pub const CHILDREN_OF_A_PARENT_MAX: u64 = 100;

/// Not infrastructure: they exist only inside the plan.
pub fn is_skipped(kind: &str) -> bool {
    matches!(kind, "null_resource" | "terraform_data")
}

/// The weight class of a resource type.
pub fn class(kind: &str) -> Class {
    let words: Vec<&str> = kind.split('_').skip(1).collect();
    if let Some(last) = words.last()
        && CHILD_ENDINGS.contains(last)
    {
        return Class::Child;
    }
    if let Some((_, class)) = PHRASES.iter().find(|(phrase, _)| kind.contains(phrase)) {
        return *class;
    }
    let known = |word: &&str| WORDS.iter().find(|(_, list)| list.contains(word)).map(|(class, _)| *class);
    words.iter().rev().find_map(known).unwrap_or(Class::Identity)
}

const CHILD_ENDINGS: [&str; 20] = [
    "rule",
    "rules",
    "attachment",
    "association",
    "record",
    "recordset",
    "route",
    "permission",
    "permissions",
    "membership",
    "member",
    "binding",
    "grant",
    "grants",
    "tag",
    "versioning",
    "acceleration",
    "acl",
    "propagation",
    "acceptance",
];

/// Two words that mean something else than each alone.
const PHRASES: [(&str, Class); 12] = [
    ("service_account", Class::Identity),
    ("project_service", Class::Identity),
    ("kubernetes_service", Class::Network),
    ("kubernetes_namespace", Class::Identity),
    ("kubernetes_ingress", Class::Network),
    ("instance_profile", Class::Identity),
    ("launch_template", Class::Identity),
    ("log_group", Class::Identity),
    ("resource_group", Class::Identity),
    ("option_group", Class::Identity),
    ("parameter_group", Class::Identity),
    ("key_pair", Class::Identity),
];

const WORDS: [(Class, &[&str]); 4] = [
    (
        Class::Compute,
        &[
            "instance",
            "instances",
            "server",
            "vm",
            "machine",
            "droplet",
            "node",
            "cluster",
            "nodepool",
            "pool",
            "db",
            "database",
            "rds",
            "aurora",
            "sql",
            "mysql",
            "postgresql",
            "mssql",
            "cosmosdb",
            "dynamodb",
            "spanner",
            "bigtable",
            "bigquery",
            "redshift",
            "docdb",
            "documentdb",
            "neptune",
            "mongodb",
            "redis",
            "cache",
            "elasticache",
            "memcached",
            "elasticsearch",
            "opensearch",
            "warehouse",
            "synapse",
            "function",
            "lambda",
            "container",
            "service",
            "task",
            "job",
            "app",
            "webapp",
            "site",
            "deployment",
            "pod",
            "statefulset",
            "daemonset",
            "cronjob",
            "release",
            "autoscaling",
            "scale",
            "fleet",
            "fargate",
            "eks",
            "aks",
            "gke",
            "kubernetes",
            "kafka",
            "msk",
            "rabbitmq",
            "broker",
            "batch",
            "emr",
            "dataproc",
            "sagemaker",
            "environment",
            "workspace",
            "stack",
        ],
    ),
    (
        Class::Network,
        &[
            "vpc",
            "subnet",
            "subnetwork",
            "network",
            "networks",
            "vnet",
            "gateway",
            "nat",
            "eip",
            "ip",
            "address",
            "interface",
            "router",
            "table",
            "peering",
            "endpoint",
            "vpn",
            "tunnel",
            "connection",
            "firewall",
            "security",
            "nsg",
            "lb",
            "alb",
            "elb",
            "nlb",
            "loadbalancer",
            "balancer",
            "listener",
            "target",
            "frontend",
            "backend",
            "proxy",
            "forwarding",
            "cdn",
            "cloudfront",
            "distribution",
            "waf",
            "wafv2",
            "ingress",
            "api",
            "apigateway",
            "apigatewayv2",
            "dhcp",
            "link",
            "mesh",
            "edge",
            "domain",
        ],
    ),
    (
        Class::Storage,
        &[
            "bucket",
            "s3",
            "storage",
            "volume",
            "disk",
            "ebs",
            "efs",
            "fsx",
            "file",
            "filesystem",
            "share",
            "blob",
            "snapshot",
            "backup",
            "vault",
            "image",
            "ami",
            "ecr",
            "registry",
            "repository",
            "artifact",
            "claim",
            "queue",
            "sqs",
            "topic",
            "sns",
            "stream",
            "kinesis",
            "firehose",
            "pubsub",
            "eventhub",
            "bus",
        ],
    ),
    (
        Class::Identity,
        &[
            "iam",
            "role",
            "policy",
            "user",
            "identity",
            "principal",
            "profile",
            "zone",
            "dns",
            "route53",
            "secret",
            "secretsmanager",
            "key",
            "kms",
            "keyring",
            "certificate",
            "cert",
            "acm",
            "parameter",
            "ssm",
            "password",
            "token",
            "alarm",
            "dashboard",
            "log",
            "metric",
            "monitor",
            "subscription",
            "map",
            "namespace",
            "object",
            "setting",
            "settings",
            "configuration",
            "controls",
            "definition",
        ],
    ),
];
