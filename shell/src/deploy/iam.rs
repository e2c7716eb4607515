//! The least that a deployer may do: read and write objects of one bucket, run one document on one
//! machine, and ask how that went. Nothing is deleted, nothing is listed, and what is written once
//! stays as it is.

use serde_json::{Value, json};

use crate::release::Environment;

/// Objects that are evidence: made once, by a write that fails if the key is there.
const MADE_ONCE: [&str; 3] = ["bundles", "audit", "signed"];
/// Objects that change: who owns an environment, a rollout under way, the rollouts so far.
const REPLACED: [&str; 3] = ["lock", "deploys", "index"];

/// The deployer's policy.
pub fn deployer(environment: &Environment) -> Value {
    let Environment { account, region, bucket, target, .. } = environment;
    let partition = match region {
        region if region.starts_with("cn-") => "aws-cn",
        region if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    };
    let instances = match &target.instance {
        Some(own) if own.starts_with("mi-") => format!("arn:{partition}:ssm:{region}:{account}:managed-instance/{own}"),
        Some(instance) => format!("arn:{partition}:ec2:{region}:{account}:instance/{instance}"),
        None => format!("arn:{partition}:ec2:{region}:{account}:instance/*"),
    };
    let mut on_instance = json!({
        "Sid": "RunOnTheMachine",
        "Effect": "Allow",
        "Action": "ssm:SendCommand",
        "Resource": instances,
    });
    if let Some(tag) = &target.tag {
        on_instance["Condition"] = json!({"StringEquals": {"ssm:resourceTag/Name": tag}});
    }
    let below = |folder: &str| format!("arn:{partition}:s3:::{bucket}/{folder}/*");
    json!({
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "ReadAll",
                "Effect": "Allow",
                "Action": "s3:GetObject",
                "Resource": format!("arn:{partition}:s3:::{bucket}/*"),
                "Condition": {"StringEquals": {"s3:ResourceAccount": account}},
            },
            {
                "Sid": "MakeOnceAndNeverOverwrite",
                "Effect": "Allow",
                "Action": "s3:PutObject",
                "Resource": MADE_ONCE.map(below),
                // `Null` is `false` where the request has the header If-None-Match.
                "Condition": {
                    "StringEquals": {"s3:ResourceAccount": account},
                    "Null": {"s3:if-none-match": "false"},
                },
            },
            {
                "Sid": "LockRecordsAndIndex",
                "Effect": "Allow",
                "Action": "s3:PutObject",
                "Resource": REPLACED.map(below),
                "Condition": {"StringEquals": {"s3:ResourceAccount": account}},
            },
            on_instance,
            {
                "Sid": "OnlyThisDocument",
                "Effect": "Allow",
                "Action": "ssm:SendCommand",
                "Resource": format!("arn:{partition}:ssm:{region}::document/AWS-RunShellScript"),
            },
            {
                "Sid": "HowItWent",
                "Effect": "Allow",
                // These know no resources.
                "Action": ["ssm:DescribeInstanceInformation", "ssm:GetCommandInvocation"],
                "Resource": "*",
                "Condition": {"StringEquals": {"aws:RequestedRegion": region}},
            },
        ],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy_of(name: &str, text: &str) -> Value {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.toml");
        std::fs::write(&path, text).expect("written");
        deployer(&Environment::read_as(&path, name).expect("read"))
    }

    fn policies() -> [Value; 2] {
        [
            policy_of("staging", include_str!("../../../deployed/environments/staging.toml")),
            policy_of("production", include_str!("../../../deployed/environments/production.toml")),
        ]
    }

    fn texts(value: &Value) -> Vec<&str> {
        let list = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        list.iter().filter_map(Value::as_str).collect()
    }

    /// Whether a statement allows an action on a key of the bucket, for a request with or without the header
    /// If-None-Match.
    fn allows(policy: &Value, action: &str, key: &str, if_none_match: bool) -> bool {
        let statements = policy["Statement"].as_array().expect("statements");
        statements.iter().any(|statement| {
            let is_about = |resource: &str| {
                resource
                    .split_once(":::")
                    .and_then(|(_, path)| path.strip_suffix('*'))
                    .is_some_and(|start| key.starts_with(start))
            };
            let asks = statement["Condition"]["Null"]["s3:if-none-match"] == "false";
            texts(&statement["Action"]).contains(&action)
                && texts(&statement["Resource"]).into_iter().any(is_about)
                && (if_none_match || !asks)
        })
    }

    #[test]
    fn nothing_may_be_deleted_or_listed_in_the_bucket() {
        for policy in policies().map(|policy| policy.to_string()) {
            for forbidden in ["Delete", "ListBucket", "s3:*", "ssm:*", "\"*:*\"", "Acl", "Tagging", "Retention"] {
                assert!(!policy.contains(forbidden), "{forbidden}");
            }
            assert!(policy.contains("us-east-2") && policy.contains("magellan-deployments/*"));
        }
    }

    #[test]
    fn what_is_evidence_can_be_made_and_never_overwritten() {
        for policy in policies() {
            for (key, made_once, written) in [
                ("magellan-deployments/bundles/a.tar.zst", true, true),
                ("magellan-deployments/audit/staging/a.json", true, true),
                ("magellan-deployments/signed/a.json", true, true),
                ("magellan-deployments/lock/staging.json", false, true),
                ("magellan-deployments/deploys/staging/a.json", false, true),
                ("magellan-deployments/index/staging.json", false, true),
                ("magellan-deployments/other", false, false),
                ("magellan-deployments/bundles", false, false),
                ("another-bucket/lock/staging.json", false, false),
            ] {
                assert_eq!(allows(&policy, "s3:PutObject", key, true), written, "{key}");
                assert_eq!(allows(&policy, "s3:PutObject", key, false), written && !made_once, "{key}");
                assert_eq!(allows(&policy, "s3:GetObject", key, false), key.starts_with("magellan"), "{key}");
            }
        }
    }

    #[test]
    fn the_bucket_must_be_of_the_account() {
        for policy in policies() {
            let statements = policy["Statement"].as_array().expect("statements");
            let of_s3: Vec<&Value> = statements.iter().filter(|s| texts(&s["Action"])[0].starts_with("s3:")).collect();
            assert_eq!(of_s3.len(), 3);
            for statement in of_s3 {
                assert_eq!(statement["Condition"]["StringEquals"]["s3:ResourceAccount"], "000000000000", "{statement}");
            }
        }
    }
}
