//! A machine under AWS Systems Manager: `AWS-RunShellScript`, which runs as root without HOME.

use std::io::Write;
use std::time::{Duration, Instant};

use aws_sdk_ssm::Client;
use aws_sdk_ssm::error::ProvideErrorMetadata;
use aws_sdk_ssm::types::{CommandInvocationStatus as Status, InstanceInformation, InstanceInformationStringFilter};
use flate2::Compression;
use flate2::write::GzEncoder;
use magellan::error::{Error, Result};

use super::{Aws, fault};
use crate::codes;
use crate::deploy::host::{Call, SCRIPT, shell_word};
use crate::deploy::transport::Transport;
use crate::release::Target;

/// How long the agent may take to fetch a command, seconds; SSM knows no less than 30.
const DELIVERY: i32 = 60;
/// How long the script may run, seconds.
const RUN: i32 = 600;
/// How often an undelivered command is sent again.
const SENDS: usize = 3;
/// How long SSM may not know a command that it has just accepted.
const UNKNOWN: Duration = Duration::from_secs(20);

/// A parameter, decrypted.
///
/// # Errors
/// Deploy error if it can't be read.
pub fn parameter(aws: &Aws, path: &str) -> Result<String> {
    let asked = Client::new(&aws.config).get_parameter().name(path).with_decryption(true).send();
    let answer = aws.wait(asked).map_err(|e| fault(&format!("for the parameter {path}"), &e))?;
    let value = answer.parameter.and_then(|parameter| parameter.value);
    value.ok_or_else(|| Error::new(codes::AWS_FAILED, format!("the parameter {path} has no value")))
}

/// A managed instance.
pub struct Ssm<'a> {
    aws: &'a Aws,
    client: Client,
    instance: String,
}

/// How a command ended.
enum Ended {
    /// It ran; its output.
    Ran(String),
    /// It surely didn't run.
    NeverRan(String),
    /// Nobody knows.
    Lost(String),
}

impl<'a> Ssm<'a> {
    /// The one instance that the target names, if it is what the target says.
    ///
    /// # Errors
    /// Refused if there are none or several, it is offline, or its name is another's.
    pub fn find(aws: &'a Aws, target: &Target) -> Result<Self> {
        let client = Client::new(&aws.config);
        let (key, value) = match (&target.instance, &target.tag) {
            (Some(instance), _) => ("InstanceIds", instance),
            (None, tag) => ("tag:Name", tag.as_ref().expect("one of the two: checked when it was read")),
        };
        let filter = InstanceInformationStringFilter::builder().key(key).values(value).build();
        let filter = filter.map_err(|e| Error::new(codes::AWS_FAILED, e.to_string()))?;
        let pages = client.describe_instance_information().filters(filter).into_paginator().items().send();
        let found: Vec<InstanceInformation> =
            aws.wait(pages.collect::<std::result::Result<_, _>>()).map_err(|e| fault("for the machine", &e))?;
        let wrong = |what: String| Error::new(codes::WRONG_TARGET, what);
        let [one] = &found[..] else {
            let ids: Vec<&str> = found.iter().filter_map(|i| i.instance_id.as_deref()).collect();
            let these = if ids.is_empty() { String::new() } else { format!(": {}", ids.join(", ")) };
            return Err(wrong(format!("{key} {value} names {} managed instances{these}; expected one", found.len())));
        };
        let instance = one.instance_id.clone().unwrap_or_default();
        let ping = one.ping_status.as_ref().map_or("unknown", |p| p.as_str());
        if ping != "Online" {
            return Err(wrong(format!("the agent of {instance} is {ping}, expected Online"))
                .help("start the instance, and amazon-ssm-agent on it"));
        }
        let name = one.computer_name.as_deref().unwrap_or_default();
        // EC2 appends its domain to some.
        if name != target.hostname && name.split('.').next() != Some(&target.hostname) {
            let what = format!("{instance} is called `{name}`, the environment file says `{}`", target.hostname);
            return Err(wrong(what));
        }
        Ok(Self { aws, client, instance })
    }

    /// Its id.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    fn send(&self, call: &Call) -> Result<String> {
        let commands = command_line(call)?;
        let send = self
            .client
            .send_command()
            .document_name("AWS-RunShellScript")
            .instance_ids(&self.instance)
            .comment(format!("magellan {}", call.operation))
            .timeout_seconds(DELIVERY)
            .parameters("commands", vec![commands])
            .parameters("executionTimeout", vec![RUN.to_string()]);
        let sent = self.aws.wait(send.send()).map_err(|e| fault(&format!("to run {}", call.operation), &e))?;
        let id = sent.command.and_then(|c| c.command_id);
        id.ok_or_else(|| Error::new(codes::AWS_FAILED, "SSM accepted a command and gave it no id"))
    }

    fn wait_for(&self, command: &str, waiting: &dyn Fn()) -> Result<Ended> {
        let sent = Instant::now();
        let most = Duration::from_secs(u64::try_from(DELIVERY + RUN).unwrap_or_default() + 60);
        let mut pause = Duration::from_millis(200);
        loop {
            std::thread::sleep(pause);
            waiting();
            pause = (pause * 3 / 2).min(Duration::from_secs(3));
            let asked = self.client.get_command_invocation().command_id(command).instance_id(&self.instance);
            let answer = match self.aws.wait(asked.send()) {
                Ok(answer) => answer,
                Err(e) if e.code() == Some("InvocationDoesNotExist") && sent.elapsed() < UNKNOWN => continue,
                Err(e) => return Err(fault("how the command went", &e)),
            };
            let details = answer.status_details.unwrap_or_default();
            let output = answer.standard_output_content.unwrap_or_default();
            let said = |what: &str| format!("SSM says {what} of command {command}");
            match answer.status.unwrap_or(Status::Pending) {
                Status::Success => return Ok(Ended::Ran(output)),
                Status::Failed if matches!(details.as_str(), "Undeliverable" | "InvalidPlatform" | "AccessDenied") => {
                    return Ok(Ended::NeverRan(said(&details)));
                }
                Status::Failed => return Ok(Ended::Ran(output)),
                Status::TimedOut if details == "DeliveryTimedOut" || details == "Delivery Timed Out" => {
                    return Ok(Ended::NeverRan(said(&details)));
                }
                status @ (Status::TimedOut | Status::Cancelled | Status::Cancelling) => {
                    return Ok(Ended::Lost(said(if details.is_empty() { status.as_str() } else { &details })));
                }
                _ if sent.elapsed() > most => return Ok(Ended::Lost(said("nothing more"))),
                _ => {}
            }
        }
    }
}

/// The script without its comments, packed since a command may be no longer than some 64 KiB, and its arguments as
/// words that no shell takes for anything else.
fn command_line(call: &Call) -> Result<String> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    let lines: String = SCRIPT
        .split_inclusive('\n')
        .enumerate()
        .filter(|(i, line)| *i == 0 || !is_comment(line))
        .map(|l| l.1)
        .collect();
    let packed = gzip.write_all(lines.as_bytes()).and_then(|()| gzip.finish());
    let packed = packed.map_err(|e| Error::new(codes::IO, format!("can't pack the host script: {e}")))?;
    let words: Vec<String> = call.words().map(shell_word).collect();
    let packed = aws_smithy_types::base64::encode(packed);
    Ok(format!("base64 -d <<'END' | gunzip | bash -s -- {}\n{packed}\nEND\n", words.join(" ")))
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

impl Transport for Ssm<'_> {
    fn output(&self, call: &Call, waiting: &dyn Fn()) -> Result<String> {
        let mut why = String::new();
        for _ in 0..SENDS {
            let command = self.send(call)?;
            match self.wait_for(&command, waiting)? {
                Ended::Ran(output) => return Ok(output),
                Ended::NeverRan(said) => why = said,
                Ended::Lost(said) => {
                    let what = format!("whether {} was done is unknown: {said}", call.operation);
                    return Err(Error::new(codes::HOST_SILENT, what));
                }
            }
        }
        Err(Error::new(codes::HOST_SILENT, format!("{} was not done: {why}, {SENDS} times", call.operation)))
    }

    fn name(&self) -> String {
        format!("instance {}", self.instance)
    }
}
