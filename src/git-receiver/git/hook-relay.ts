import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { access, chmod, constants, mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { UserError } from "../../errors.ts";

export const hookNames = ["pre-receive", "proc-receive"] as const;
export type HookName = (typeof hookNames)[number];

/**
 * The program that git starts as `pre-receive` and `proc-receive`: it carries bytes between git and the platform's socket
 * and decides nothing. It says 0 only when it was told to, and never asks twice. Perl, because it waits for as long as a
 * deploy takes: it holds 5 MB meanwhile where Node holds 40, and git brings it along on nearly every system.
 *
 * To the platform: `name=value` fields, each ended by a NUL, an empty one after the last; then its standard input.
 * From there: frames of one letter (o, e: for standard output and error; x: the exit code in one byte), a length in four bytes, the bytes.
 */
const relayProgram = String.raw`#!/usr/bin/env perl
# Written by Zyndra. Carries bytes between git and the platform; everything is decided there.
use strict;
use warnings;
use Socket qw(AF_UNIX SOCK_STREAM pack_sockaddr_un);

my ($hook) = $0 =~ m{([^/]+)\z};

sub give_up {
    print STDERR "error: $_[0]\n";
    exit 1;
}

sub write_all {
    my ($handle, $bytes) = @_;
    my $at = 0;
    while ($at < length $bytes) {
        my $written = syswrite $handle, $bytes, length($bytes) - $at, $at;
        return 0 unless defined $written;
        $at += $written;
    }
    return 1;
}

my $lost = $hook eq "pre-receive"
    ? "zyndra stopped before it took the push: push again"
    : "zyndra stopped; a deploy that had begun goes on, zyndra deploys shows it";

my $path = $ENV{ZYNDRA_HOOK_SOCKET};
give_up("this repository takes pushes through zyndra only") unless defined $path && length $path;
socket(my $server, AF_UNIX, SOCK_STREAM, 0) or give_up($lost);
connect($server, pack_sockaddr_un($path)) or give_up("zyndra is not running: push again in a moment");

my %fields = (hook => $hook, parent => getppid());
$fields{push} = $ENV{ZYNDRA_PUSH} if defined $ENV{ZYNDRA_PUSH};
for (qw(GIT_QUARANTINE_PATH GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES)) {
    $fields{$_} = $ENV{$_} if defined $ENV{$_};
}
write_all($server, join("", map { "$_=$fields{$_}\0" } sort keys %fields) . "\0") or give_up($lost);

binmode $_ for *STDIN, *STDOUT, *STDERR, $server;
my ($from_git, $from_server) = (fileno(STDIN), fileno($server));
my $wanted = "";
vec($wanted, $_, 1) = 1 for $from_git, $from_server;
my $held = "";

for (;;) {
    my $ready = $wanted;
    next if select($ready, undef, undef, undef) < 0;

    if (vec($ready, $from_git, 1)) {
        my $count = sysread STDIN, my $bytes, 65536;
        if ($count) {
            write_all($server, $bytes) or give_up($lost);
        }
        else {
            vec($wanted, $from_git, 1) = 0;
            shutdown $server, 1;
        }
    }

    next unless vec($ready, $from_server, 1);
    my $count = sysread $server, $held, 65536, length $held;
    give_up($lost) unless $count;
    while (length $held >= 5) {
        my ($kind, $length) = unpack "a1 N", $held;
        last if length $held < 5 + $length;
        my $bytes = substr $held, 5, $length;
        substr($held, 0, 5 + $length) = "";
        exit ord $bytes if $kind eq "x";
        write_all($kind eq "o" ? *STDOUT : *STDERR, $bytes) or exit 1;
    }
}
`;

/**
 * Writes the hooks into a folder of their own below `folder` and tries one. The folder is named by its content: an
 * older platform that is still draining keeps its own. Throws UserError where they cannot run.
 */
export async function installHooks(folder: string, environment: Record<string, string>): Promise<string> {
  const digest = createHash("sha256").update(relayProgram).digest("hex").slice(0, 12);
  const hooksFolder = join(folder, `hooks-${digest}`);
  await mkdir(hooksFolder, { recursive: true, mode: 0o755 });
  for (const name of hookNames) {
    const file = join(hooksFolder, name);
    const draft = `${file}.${process.pid}`;
    await writeFile(draft, relayProgram);
    await chmod(draft, 0o755);
    await rename(draft, file);
  }
  await tryHook(join(hooksFolder, "pre-receive"), environment);
  return hooksFolder;
}

/** Without a socket it must start, say that it takes no pushes, and exit with 1. */
async function tryHook(file: string, environment: Record<string, string>): Promise<void> {
  await access(file, constants.X_OK);
  const { ZYNDRA_HOOK_SOCKET: _none, ...withoutSocket } = environment;
  const outcome = await new Promise<{ code: unknown; stderr: string }>((resolve) => {
    execFile(file, { env: withoutSocket, timeout: 20_000 }, (error, _stdout, stderr) => {
      resolve({ code: error?.code ?? (error ? "killed" : 0), stderr });
    });
  });
  if (outcome.code === 1 && outcome.stderr.includes("through zyndra only")) return;
  const words = outcome.stderr.trim().split("\n")[0]?.slice(0, 200) || String(outcome.code);
  throw new UserError(
    "unavailable",
    `git's hooks do not start here: ${words}`,
    `they need perl, and a data folder from which programs may be run (${file})`,
  );
}
