# Keeps one process of an app running, and outlives the platform while it does.
#
#   perl keeper.pl keep FOLDER   starts the command of FOLDER/launch, writes its output into the app's log, starts it
#                                again when it ends, and says in FOLDER/status how it is. SIGTERM ends both; SIGUSR1
#                                writes the status anew, with the latest lines of output.
#   perl keeper.pl once FOLDER   runs the command once and exits as it did (128 + signal); ends it when our stdin closes,
#                                so that it never outlives the platform. Its output goes to our stdout and stderr, its
#                                input comes as frames on our stdin; with a terminal it has one of its own for all three.
#                                SIGINT is passed on, as Ctrl-C would be.
#
# Perl with core modules only: it is there wherever Debian's git is, and waits in 6 MB where Node takes 45.
use strict;
use warnings;
use Config;
use Errno qw(EAGAIN EINTR ENOENT);
use Fcntl qw(F_GETFL F_SETFL O_APPEND O_CREAT O_NOCTTY O_NONBLOCK O_RDWR O_WRONLY);
use Time::HiRes qw(time);

use constant {
    WNOHANG            => 1,
    SIGINT             => 2,
    LINE_LIMIT_BYTES   => 10_000,       # A longer line is cut into several.
    RATE_LIMIT_BYTES   => 2_000_000,    # Output beyond this in one second is dropped, and a line says so.
    TAIL_LINES         => 60,           # More than is shown: a cause may stand above a long trace.
    TAIL_LINE_BYTES    => 500,
    FLUSH_SECONDS      => 0.5,          # A line without its end is written after this long.
    LEFTOVERS_SECONDS  => 2,            # For what a process that ended by itself has left in its group.
    FOLDER_SECONDS     => 5,            # How often to look whether our folder is still there.
    BUFFER_BYTES       => 65_536,       # Of a stream; while it is full, no more is read.
};
# Requests of ioctl(2), for which Perl has no names; the same on all machines that Zyndra supports (asm-generic/ioctls.h).
use constant {
    TIOCGPTN   => 0x80045430,
    TIOCSPTLCK => 0x40045431,
    TIOCSWINSZ => 0x5414,
    TIOCSCTTY  => 0x540E,
};

my ($stop_asked, $status_asked) = (0, 0);
$SIG{TERM} = $SIG{INT} = sub { $stop_asked = 1 };
$SIG{USR1} = sub { $status_asked = 1 };
$SIG{HUP} = $SIG{PIPE} = 'IGNORE';
$SIG{CHLD} = sub { };    # Only to wake select.

# Orphans of our process become our children, not those of process 1, which may be slow to bury them (a group with a
# zombie in it counts as alive): prctl(PR_SET_CHILD_SUBREAPER), for which Perl has no name.
my %prctl = (x86_64 => 157, aarch64 => 167);
my ($machine) = $Config{archname} =~ /^(\w+?)-linux/;
syscall $prctl{$machine}, 36, 1, 0, 0, 0 if $machine && $prctl{$machine};

my ($mode, $folder) = @ARGV;
my (%launch, %child_env);
read_launch();
my $platform = getppid;

# The child: its process id (also its group's), whether it has ended and how, and the pipe with its output.
my ($child, $child_gone, $wait_status, $output);
# What else is moved for somebody who is attached: bytes on their way out, frames and bytes on their way in.
my (@outputs, $child_input, $terminal);
my ($frames, $input, $input_ended) = ('', '', 0);
my ($state, $since, $starts, $exits, $last_exit) = ('starting', now_ms(), 0, 0, undef);
my ($partial, $partial_since, @tail) = ('', 0);
my ($log, $log_device, $log_inode, $log_torn);
my ($second, $second_bytes, $dropped_lines) = (0, 0, 0);
my $folder_looked_at = time;
my ($folder_inode) = (stat $folder)[1];

exit($mode eq 'once' ? run_once() : keep_running());

sub keep_running {
    my $pause = $launch{firstPauseMs};
    until ($stop_asked) {
        my $started = time;
        start_child();
        set_state('up');
        relay_until(sub { $child_gone || $stop_asked });
        last if $stop_asked;

        end_group(LEFTOVERS_SECONDS);
        read_rest();
        my $ran_ms = int((time() - $started) * 1000);
        $pause = $launch{firstPauseMs} if $ran_ms >= $launch{steadyMs};
        note_exit($ran_ms);
        say_line(sprintf 'zyndra: %s after %.1f s, starts again in %.2g s', exit_words(), $ran_ms / 1000, $pause / 1000);
        set_state('crashed');
        relay_until(sub { $stop_asked }, $pause / 1000);
        $pause = $pause * 2 > $launch{maxPauseMs} ? $launch{maxPauseMs} : $pause * 2;
    }
    set_state('stopping');
    end_group($launch{graceMs} / 1000);
    read_rest();
    set_state('ended');
    return 0;
}

sub run_once {
    $SIG{INT} = sub { kill 'INT', -$child if defined $child && !$child_gone };
    start_child();
    relay_until(sub { $child_gone || $stop_asked });
    # Ctrl-C ends a shell at once, but what it had started may still tidy up.
    my $was_interrupted = $child_gone && ($wait_status & 127) == SIGINT;
    relay_until(sub { $stop_asked || !group_alive() }, $launch{graceMs} / 1000, 0.02) if $was_interrupted;
    end_group($child_gone ? 0 : $launch{graceMs} / 1000);
    hand_over_rest();
    return $wait_status & 127 ? 128 + ($wait_status & 127) : $wait_status >> 8;
}

# --- the child ---

sub start_child {
    my @ends = $launch{streams} eq 'terminal' ? open_terminal() : $launch{streams} eq 'pipes' ? open_pipes() : open_log_pipe();
    my $pid = fork;
    if (!defined $pid) {    # No memory or no process ids: as if it had crashed at once.
        my $said = "zyndra: cannot start: $!";
        if ($mode eq 'keep') { say_line($said) }
        else { syswrite STDERR, "$said\n" }
        ($child, $child_gone, $wait_status, $output, @outputs) = (undef, 1, 126 << 8, undef);
        $starts++;
        return;
    }
    become_child(@ends) if $pid == 0;
    # Both sides do it, so that it is done whoever comes first. With a terminal it leads a session, which nobody else can make it.
    setpgrp $pid, $pid if !$terminal;
    ($child, $child_gone, $wait_status) = ($pid, 0, 0);
    ($partial, @tail) = ('');
    $starts++;
}

# Each of the following opens the ways to and from the child and answers its ends of them: stdin, stdout, stderr.

sub open_log_pipe {
    pipe $output, my $write_end or die "pipe: $!";
    set_nonblocking($output);
    open my $nothing, '<', '/dev/null' or die "/dev/null: $!";
    return ($nothing, $write_end, $write_end);
}

# Pipes, where ours are sockets: those cannot be opened as /dev/stdout and /dev/stderr.
sub open_pipes {
    pipe my $stdin, $child_input or die "pipe: $!";
    pipe my $from_stdout, my $stdout or die "pipe: $!";
    pipe my $from_stderr, my $stderr or die "pipe: $!";
    @outputs = ({ from => $from_stdout, to => \*STDOUT, waiting => '' }, { from => $from_stderr, to => \*STDERR, waiting => '' });
    set_nonblocking($child_input, map { ($_->{from}, $_->{to}) } @outputs);
    return ($stdin, $stdout, $stderr);
}

# A new pair of pty(7): the child gets one side as its terminal, we hold the other.
sub open_terminal {
    sysopen $terminal, '/dev/ptmx', O_RDWR | O_NOCTTY or die "/dev/ptmx: $!";
    my ($unlocked, $number) = (pack('i', 0), pack 'i', 0);
    ioctl $terminal, TIOCSPTLCK, $unlocked or die "unlocking a pty: $!";
    ioctl $terminal, TIOCGPTN, $number or die "a pty's number: $!";
    sysopen my $side, '/dev/pts/' . unpack('i', $number), O_RDWR | O_NOCTTY or die "/dev/pts: $!";
    set_window_size($launch{columns}, $launch{rows});
    $child_input = $terminal;
    @outputs = ({ from => $terminal, to => \*STDOUT, waiting => '' });
    set_nonblocking($terminal, \*STDOUT);
    return ($side, $side, $side);
}

sub set_window_size {
    my ($columns, $rows) = @_;
    my $size = pack 'S4', $rows, $columns, 0, 0;
    # The kernel tells the programs in it: SIGWINCH.
    ioctl $terminal, TIOCSWINSZ, $size if $terminal;
}

sub set_nonblocking { fcntl $_, F_SETFL, fcntl($_, F_GETFL, 0) | O_NONBLOCK for @_ }

sub become_child {
    my ($stdin, $stdout, $stderr) = @_;
    if ($terminal) {
        require POSIX;
        POSIX::setsid();
        ioctl $stdin, TIOCSCTTY, 0;
        erase_whole_characters($stdin);
    }
    else { setpgrp 0, 0 }
    $SIG{$_} = 'DEFAULT' for qw(TERM INT USR1 HUP PIPE CHLD);
    open STDIN, '<&', $stdin;
    open STDOUT, '>&', $stdout;
    open STDERR, '>&', $stderr;
    if (chdir $launch{cwd}) {
        %ENV = %child_env;
        no warnings 'exec';
        exec '/bin/sh', '-c', $launch{command};
    }
    syswrite STDERR, "zyndra: cannot start in $launch{cwd}: $!\n";
    exit 126;
}

# IUTF8 of termios(3), for which Perl has no name.
sub erase_whole_characters {
    my $attributes = POSIX::Termios->new;
    $attributes->getattr(fileno $_[0]);
    $attributes->setiflag($attributes->getiflag | 0x4000);
    $attributes->setattr(fileno $_[0]);
}

sub reap {
    while ((my $pid = waitpid -1, WNOHANG) > 0) {
        ($child_gone, $wait_status) = (1, $?) if defined $child && $pid == $child;
    }
}

# Ends what is left of the child's process group, and what has left that group but carries our mark. A shell at a terminal
# gives each of its jobs a group of its own, and heeds SIGHUP alone: there the whole session is meant.
sub end_group {
    my ($seconds) = @_;
    return if !defined $child;
    if (group_alive()) {
        signal_group($_) for $terminal ? qw(HUP CONT TERM) : 'TERM';
        relay_until(sub { !group_alive() }, $seconds, 0.02);
        signal_group('KILL') if group_alive();
        relay_until(sub { $child_gone }, 2, 0.02);
    }
    end_marked();
    end_descendants();
    reap();
}

sub signal_group { kill $_[0], -$child, $terminal ? session_members() : () }

sub group_alive { reap(); return kill(0, -$child) || $terminal && session_members() }

sub session_members {
    opendir my $proc, '/proc' or return;
    return grep { /^\d+$/ && session_of($_) == $child } readdir $proc;
}

# proc(5): the name in parentheses may hold anything; state, parent and group stand before the session. A zombie is gone.
sub session_of {
    open my $file, '<', "/proc/$_[0]/stat" or return 0;
    my ($state, $session) = (<$file> // '') =~ /.*\) (\S) \S+ \S+ (\d+)/s or return 0;
    return $state eq 'Z' ? 0 : $session;
}

sub end_marked {
    opendir my $proc, '/proc' or return;
    for my $pid (grep { /^\d+$/ && $_ != $$ } readdir $proc) {
        open my $file, '<', "/proc/$pid/environ" or next;
        local $/;
        my $environ = "\0" . (<$file> // '') . "\0";
        kill 'KILL', $pid if index($environ, "\0ZYNDRA_INSTANCE=$launch{instance}\0") >= 0;
    }
}

# What has left the group and dropped our mark is still below us, since orphans become our children. In several rounds: one
# may fork while we look, and what is below it comes to us only when it is gone.
sub end_descendants {
    for (1 .. 100) {
        reap();
        my @pids = descendants() or return;
        kill 'KILL', @pids;
        select undef, undef, undef, 0.01;
    }
}

sub descendants {
    opendir my $proc, '/proc' or return;
    my %children;
    for my $pid (grep { /^\d+$/ } readdir $proc) {
        open my $file, '<', "/proc/$pid/stat" or next;
        my ($parent) = (<$file> // '') =~ /.*\) \S (\d+)/s or next;
        push @{ $children{$parent} }, $pid;
    }
    my @below = @{ $children{$$} // [] };
    for (my $at = 0; $at < @below; $at++) { push @below, @{ $children{ $below[$at] } // [] } }
    return @below;
}

sub note_exit {
    my ($ran_ms) = @_;
    $exits++;
    my $how = $wait_status & 127 ? '"signal":' . ($wait_status & 127) : '"code":' . ($wait_status >> 8);
    $last_exit = sprintf '{%s,"at":%d,"ranMs":%d,"lines":%s}', $how, now_ms(), $ran_ms, json_lines(@tail);
}

sub exit_words { return $wait_status & 127 ? 'signal ' . ($wait_status & 127) : 'exit ' . ($wait_status >> 8) }

# --- waiting, and moving bytes meanwhile ---

# Moves what comes until $done answers true or the seconds are over; $tick is the longest sleep.
sub relay_until {
    my ($done, $seconds, $tick) = @_;
    my $deadline = defined $seconds ? time() + $seconds : undef;
    while (1) {
        reap();
        return if $done->();
        my $wait = $tick // ($partial ne '' || $dropped_lines ? FLUSH_SECONDS : 1);
        if (defined $deadline) {
            my $left = $deadline - time;
            return if $left <= 0;
            $wait = $left if $left < $wait;
        }
        move_bytes($wait);
        end_partial_line() if $partial ne '' && time() - $partial_since > FLUSH_SECONDS;
        say_dropped() if $dropped_lines && int(time) != $second;
        if ($status_asked) { $status_asked = 0; write_status() }
        look_at_folder();
        # Our stdin says so at once, unless it is full of what the command does not read.
        $stop_asked = 1 if $mode eq 'once' && getppid != $platform;
    }
}

sub move_bytes {
    my ($seconds) = @_;
    my ($read, $write) = ('', '');
    vec($read, fileno $output, 1) = 1 if $output;
    vec($read, fileno STDIN, 1) = 1 if $mode eq 'once' && !$stop_asked && length $input < BUFFER_BYTES;
    vec($write, fileno $child_input, 1) = 1 if $child_input && ($input ne '' || $input_ended);
    for (@outputs) {
        vec($read, fileno $_->{from}, 1) = 1 if has_room($_);
        vec($write, fileno $_->{to}, 1) = 1 if $_->{waiting} ne '';
    }
    return if select($read, $write, undef, $seconds) <= 0;
    read_output() if $output && vec $read, fileno $output, 1;
    for (@outputs) {
        read_stream($_) if has_room($_) && vec $read, fileno $_->{from}, 1;
        write_stream($_) if vec $write, fileno $_->{to}, 1;
    }
    write_input() if $child_input && vec $write, fileno $child_input, 1;
    read_frames() if $mode eq 'once' && vec $read, fileno STDIN, 1;
}

# Whoever removes our folder wants us gone: nobody could find us any more.
sub look_at_folder {
    return if time() - $folder_looked_at < FOLDER_SECONDS || $mode eq 'once';
    $folder_looked_at = time;
    my ($inode) = (stat $folder)[1];
    $stop_asked = 1 if !defined $inode && $! == ENOENT || defined $inode && $inode != $folder_inode;
}

sub read_output {
    my $got = sysread $output, my $bytes, 65_536;
    return if !defined $got && ($! == EAGAIN || $! == EINTR);
    if (!$got) { close $output; undef $output; return }
    take_bytes($bytes);
}

# After the end of a process: what is still in the pipe, but no waiting for others who hold it open.
sub read_rest {
    for (1 .. 64) {
        last if !$output;
        my $ready = '';
        vec($ready, fileno $output, 1) = 1;
        last if select($ready, undef, undef, 0) <= 0;
        read_output();
    }
    close $output if $output;
    undef $output;
    end_partial_line();
    say_dropped();
}

# --- the streams of a command that somebody is attached to ---

sub has_room { return $_[0]{from} && length $_[0]{waiting} < BUFFER_BYTES }

# Answers false where there is nothing to read, now or for good.
sub read_stream {
    my ($stream) = @_;
    my $got = sysread $stream->{from}, $stream->{waiting}, BUFFER_BYTES, length $stream->{waiting};
    return 0 if !defined $got && ($! == EAGAIN || $! == EINTR);
    # A terminal whose other side was closed by all is an error (EIO), not an end.
    delete $stream->{from} if !$got;
    return $got;
}

sub write_stream {
    my ($stream) = @_;
    my $written = syswrite $stream->{to}, $stream->{waiting};
    if (defined $written) { substr $stream->{waiting}, 0, $written, '' }
    elsif ($! != EAGAIN && $! != EINTR) { $stream->{waiting} = '' }    # Nobody reads any more; soon our stdin says why.
}

sub write_input {
    if ($input ne '') {
        my $written = syswrite $child_input, $input;
        if (defined $written) { substr $input, 0, $written, '' }
        elsif ($! != EAGAIN && $! != EINTR) { undef $child_input }     # It has closed its stdin.
    }
    undef $child_input if $input_ended && $input eq '' && !$terminal;
}

# A frame is one letter, four bytes with the length, and as many bytes: d = data, e = the end of it, w = a window's size.
sub read_frames {
    my $got = sysread STDIN, $frames, BUFFER_BYTES, length $frames;
    if (!$got) { $stop_asked = 1 if defined $got || $! != EAGAIN && $! != EINTR; return }
    while (length $frames >= 5) {
        my ($kind, $length) = unpack 'aN', $frames;
        last if length $frames < 5 + $length;
        my $payload = substr $frames, 5, $length;
        substr $frames, 0, 5 + $length, '';
        if ($kind eq 'd') { $input .= $payload if $child_input }
        elsif ($kind eq 'w') { set_window_size(unpack 'nn', $payload) }
        elsif ($terminal) { $input .= "\x04" }
        else { $input_ended = 1 }
    }
}

# After the end: what is still on its way, but no waiting for others who hold the pipes open.
sub hand_over_rest {
    relay_until(sub {
        for my $stream (@outputs) { 1 while has_room($stream) && read_stream($stream) }
        return $stop_asked || !grep { $_->{waiting} ne '' } @outputs;
    });
}

# --- lines ---

sub take_bytes {
    my ($bytes) = @_;
    if (int(time) != $second) { say_dropped(); ($second, $second_bytes) = (int(time), 0) }
    $second_bytes += length $bytes;
    my $dropping = $second_bytes > RATE_LIMIT_BYTES;
    if ($dropping) {
        $dropped_lines += ($bytes =~ tr/\n//) || 1;
        $partial = '';
        $bytes = substr $bytes, -4096 if length $bytes > 4096;    # Enough for the last lines of a crash.
    }
    my @lines;
    $partial_since = time if $partial eq '';
    $partial .= $bytes;
    while ((my $end = index $partial, "\n") >= 0) {
        my $line = substr $partial, 0, $end + 1, '';
        chop $line;
        push @lines, pieces($line);
        $partial_since = time;
    }
    if (length $partial > LINE_LIMIT_BYTES) {
        my @pieces = pieces($partial);
        $partial = pop @pieces;
        push @lines, @pieces;
    }
    keep_lines(!$dropping, @lines);
}

sub end_partial_line {
    return if $partial eq '';
    my $line = $partial;
    $partial = '';
    keep_lines(1, pieces($line));
}

# A line in pieces that are not too long, cut between UTF-8 characters.
sub pieces {
    my ($line) = @_;
    my @pieces;
    while (length $line > LINE_LIMIT_BYTES) {
        my $cut = LINE_LIMIT_BYTES;
        for (1 .. 3) { $cut-- if (ord(substr $line, $cut, 1) & 0xC0) == 0x80 }
        push @pieces, substr $line, 0, $cut, '';
    }
    return (@pieces, $line);
}

sub keep_lines {
    my ($to_log, @lines) = @_;
    return if !@lines;
    for (@lines) {
        # Colours stay; what else steers a terminal, and what is no text, goes.
        s/\e(?!\[[0-9;]*m)//g;
        tr/\x00-\x08\x0a-\x1a\x1c-\x1f\x7f//d;
    }
    if ($to_log) {
        my $start = stamp() . " $launch{name} ";
        append_to_log(join '', map { "$start$_\n" } @lines);
    }
    push @tail, map { length $_ > TAIL_LINE_BYTES ? substr($_, 0, TAIL_LINE_BYTES) : $_ } @lines;
    splice @tail, 0, @tail - TAIL_LINES if @tail > TAIL_LINES;
}

sub say_line { append_to_log(stamp() . " $launch{name} $_[0]\n") }

sub say_dropped {
    return if !$dropped_lines;
    say_line("zyndra: $dropped_lines lines dropped, more than 2 MB of output in a second");
    $dropped_lines = 0;
}

sub stamp {
    my $now = time;
    my @utc = gmtime $now;
    return sprintf '%04d-%02d-%02dT%02d:%02d:%02d.%03dZ', $utc[5] + 1900, $utc[4] + 1, @utc[3, 2, 1, 0],
        int(($now - int $now) * 1000);
}

# --- the app's log: shared by all its processes, each batch one append; whoever finds it full moves it aside ---

sub append_to_log {
    my ($bytes) = @_;
    my ($device, $inode, $size) = (stat $launch{log})[0, 1, 7];
    if ($log && defined $inode && $inode == $log_inode && $device == $log_device) {
        if ($size >= $launch{maxLogBytes}) { rename $launch{log}, "$launch{log}.1"; open_log() or return }
    }
    else { open_log() or return }
    $bytes = "\n$bytes" if $log_torn;
    my $written = syswrite $log, $bytes;
    # A full disk costs lines, never the process.
    $log_torn = 1 if defined $written && $written < length $bytes;
    $log_torn = 0 if defined $written && $written == length $bytes;
}

sub open_log {
    undef $log;
    sysopen $log, $launch{log}, O_WRONLY | O_APPEND | O_CREAT, 0600 or return 0;
    ($log_device, $log_inode) = (stat $log)[0, 1];
    return 1;
}

# --- the status file ---

sub set_state { ($state, $since) = ($_[0], now_ms()); write_status() }

sub write_status {
    my $text = sprintf '{"keeperPid":%d,"state":"%s","since":%d,"starts":%d,"exits":%d,"writtenAt":%d,"tail":%s', $$,
        $state, $since, $starts, $exits, now_ms(), json_lines(@tail);
    $text .= ",\"pid\":$child" if defined $child && !$child_gone;
    $text .= ",\"lastExit\":$last_exit" if defined $last_exit;
    my $temporary = "$folder/status.new";
    sysopen my $file, $temporary, O_WRONLY | O_CREAT, 0600 or return;
    truncate $file, 0;
    my $written = syswrite $file, "$text}\n";
    my $whole = defined $written && $written == length($text) + 2;
    close $file and $whole and rename $temporary, "$folder/status";
}

sub json_lines {
    return '[' . join(',', map { my $line = $_; $line =~ s/([\\"])/\\$1/g; $line =~ s/([\x00-\x1f])/sprintf '\\u%04x', ord $1/ge; "\"$line\"" } @_) . ']';
}

sub now_ms { return int(time() * 1000) }

# --- what to run: NUL-separated KEY=VALUE, the child's environment as env.NAME=VALUE ---

sub read_launch {
    open my $file, '<', "$folder/launch" or die "no launch file in $folder: $!\n";
    local $/ = "\0";
    while (my $entry = <$file>) {
        chomp $entry;
        my ($key, $value) = split /=/, $entry, 2;
        if ($key =~ s/^env\.//) { $child_env{$key} = $value }
        else { $launch{$key} = $value }
    }
}
