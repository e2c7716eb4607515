//! The least that a deployer may do: read and write objects of one bucket, run one document on one
//! machine, and ask how that went. Nothing is deleted, nothing is listed.

use serde_json::{Value, json};

use crate::release::Environment;

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
    json!({
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "BundlesLockAndRecords",
                "Effect": "Allow",
                "Action": ["s3:GetObject", "s3:PutObject"],
                "Resource": format!("arn:{partition}:s3:::{bucket}/*"),
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

    #[test]
    fn nothing_may_be_deleted_or_listed_in_the_bucket() {
        for (name, text) in [
            ("staging", include_str!("../../../deployed/environments/staging.toml")),
            ("production", include_str!("../../../deployed/environments/production.toml")),
        ] {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("x.toml");
            std::fs::write(&path, text).expect("written");
            let policy = deployer(&Environment::read_as(&path, name).expect("read")).to_string();
            for forbidden in ["Delete", "ListBucket", "s3:*", "ssm:*", "\"*:*\""] {
                assert!(!policy.contains(forbidden), "{forbidden}");
            }
            assert!(policy.contains("us-east-2") && policy.contains("magellan-deployments/*"));
        }
    }
}
