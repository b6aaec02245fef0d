function __epochsocks_command -d 'The words behind the flags of epochsocks'
    set -l words (commandline -opc) (commandline -ct)
    set -e words[1]
    argparse -s 'h/help' 'V/version' 'shell' 'redirect' 'no-redirect' 'registry=' 'man' 'sample-configuration' 'completions=' 'a/address=' 'P/port=' 'onion-addr-range=' 'names=' 'connect=' 'u/user=' 'p/pass=' 'i/isolate=?' 'isolate-destination' 'allow-inbound=?' 'allow-outbound-localhost=' 'allow-direct=' 'local-destinations=' 'passed-sockets=' 'unprotected-helpers=' 'supervised-programs=' 'backstop=' 'no-backstop' 'enable-ipv6=' '6/ipv6' 'handshake-timeout=' 'log-level=' 'd/debug' 'q/quiet' 'log-time=' 'log-format=' 'log-file=' -- $words 2>/dev/null
    string join -- \n $argv
end
function __epochsocks_before_command
    test (count (__epochsocks_command)) -le 1
end
function __epochsocks_behind
    set -l words (__epochsocks_command)
    test (count $words) -ge 2; and test $words[1] = $argv[1]
end
function __epochsocks_behind_program
    set -l words (__epochsocks_command)
    test (count $words) -ge 2; and not contains -- $words[1] on off show doctor status help
end
complete -c epochsocks -x -n __epochsocks_behind_program -a '(__fish_complete_subcommand --commandline (__epochsocks_command))'
complete -c epochsocks -x -n __epochsocks_before_command -a '(__fish_complete_command) on off show doctor status help'
complete -c epochsocks -x -n '__epochsocks_behind on' -a 'bash zsh fish'
complete -c epochsocks -x -n '__epochsocks_behind off' -a 'bash zsh fish'
complete -c epochsocks -x -n '__epochsocks_behind doctor' -a '(__fish_complete_command) --self-test --json'
complete -c epochsocks -x -n '__epochsocks_behind status' -a '--all --watch --json'
complete -c epochsocks -n __epochsocks_before_command -l help -s h -d 'Print this.'
complete -c epochsocks -n __epochsocks_before_command -l version -s V -d 'Print the version.'
complete -c epochsocks -n __epochsocks_before_command -l shell -d 'Run your shell in place of a command.'
complete -c epochsocks -n __epochsocks_before_command -l redirect -d 'Run any COMMAND under a supervisor, which leads static and Go programs through Tor, too; without it only one that is such a program, or one of SupervisedPrograms.'
complete -c epochsocks -n __epochsocks_before_command -l no-redirect -d 'Run COMMAND without a supervisor, and refuse one that is static or Go.'
complete -c epochsocks -n __epochsocks_before_command -l registry -x -a 'slots slots-barrier slots-epoch slots-hazard counted type-stable mutex mutex-slots sharded snapshot slots-crossbeam' -d 'Connection registry: slots, slots-barrier, slots-epoch, slots-hazard, counted, type-stable, mutex, mutex-slots, sharded, snapshot, slots-crossbeam.'
complete -c epochsocks -n __epochsocks_before_command -l man -d 'Print the manual page, of a section with --man=1, 5 or 8.'
complete -c epochsocks -n __epochsocks_before_command -l sample-configuration -d 'Print a configuration file with all defaults.'
complete -c epochsocks -n __epochsocks_before_command -l completions -x -a 'bash zsh fish' -d 'Print what completes the flags in bash, zsh or fish.'
complete -c epochsocks -n __epochsocks_before_command -l address -s a -x -a '' -d 'Address of Tor\'s SOCKS port, or the name of its host, which the launcher looks up without Tor.'
complete -c epochsocks -n __epochsocks_before_command -l port -s P -x -a '' -d 'Tor\'s SOCKS port.'
complete -c epochsocks -n __epochsocks_before_command -l onion-addr-range -x -a '' -d 'Network whose addresses stand for onion names; nothing else can be reached in it.'
complete -c epochsocks -n __epochsocks_before_command -l names -x -a 'resolve cookie' -d 'What a program gets for a host name: the address that Tor resolves it to, or a cookie address, so that the connection itself carries the name and saves Tor a round trip.'
complete -c epochsocks -n __epochsocks_before_command -l connect -x -a 'auto wait' -d 'A connect on a non-blocking socket: auto lets it go on while the program does other things, unless the program is seen to wait for events by system calls of its own; wait waits for its end always.'
complete -c epochsocks -n __epochsocks_before_command -l user -s u -x -a '' -d 'User name for Tor, which gives each user name and password circuits of their own; needs a password.'
complete -c epochsocks -n __epochsocks_before_command -l pass -s p -x -a '' -d 'Password for Tor; needs a user name.'
complete -c epochsocks -n __epochsocks_before_command -l isolate -s i -d 'Give each process circuits of its own; excludes user name and password.'
complete -c epochsocks -n __epochsocks_before_command -l isolate-destination -d 'Give each destination, by its name or address, circuits of its own; excludes user name and password.'
complete -c epochsocks -n __epochsocks_before_command -l allow-inbound -d 'The same as --allow-inbound=1.'
complete -c epochsocks -n __epochsocks_before_command -l allow-outbound-localhost -x -a '0 1 2' -d 'Allow connections to the loopback interface past Tor: 0 none, 1 TCP, 2 TCP and UDP.'
complete -c epochsocks -n __epochsocks_before_command -l allow-direct -x -a '' -d 'Reach these networks and names by TCP without Tor, each perhaps at one port; a name has the addresses that /etc/hosts gives it, and one that begins with a dot is all names below it.'
complete -c epochsocks -n __epochsocks_before_command -l local-destinations -x -a 'refuse tor' -d 'Names and addresses of local networks (one label, .local, .lan, 192.168.0.0/16, ...): refuse answers them without asking Tor, tor asks Tor.'
complete -c epochsocks -n __epochsocks_before_command -l passed-sockets -x -a 'refuse drop torified allow' -d 'Network sockets that other processes pass: refuse fails the call, drop takes them out of the message, torified refuses those that are not connected to Tor, allow takes all. What a program under epochsocks has connected through Tor is always taken.'
complete -c epochsocks -n __epochsocks_before_command -l unprotected-helpers -x -a '' -d 'Programs that may run although the library can\'t protect them (setuid, setgid, with file capabilities, static): names of root\'s programs in system directories, or paths, between commas. A + in front adds to the default, none allows none. What such a program sends, or a program that it starts, does not go through Tor.'
complete -c epochsocks -n __epochsocks_before_command -l supervised-programs -x -a '' -d 'Programs that a supervisor is chosen for because they start what they like, shells, build and package tools: names of files, whatever version number they end in, or of the interpreters of scripts, between commas. A + in front adds to the default, none chooses it for none. It leads what the library can\'t reach through Tor.'
complete -c epochsocks -n __epochsocks_before_command -l backstop -x -a '0 1 best-effort' -d 'Run all that is started under a filter of system calls that refuses what the library can\'t see, such as sockets made in a program\'s own assembly, and without new privileges (setuid): 0 no, 1 yes or not at all, best-effort where it can be had.'
complete -c epochsocks -n __epochsocks_before_command -l no-backstop -d 'The same as --backstop 0.'
complete -c epochsocks -n __epochsocks_before_command -l enable-ipv6 -x -a '0 1' -d 'Allow IPv6 sockets and addresses.'
complete -c epochsocks -n __epochsocks_before_command -l ipv6 -s 6 -d 'The same as --enable-ipv6 1.'
complete -c epochsocks -n __epochsocks_before_command -l handshake-timeout -x -a '' -d 'How long a connection through Tor may take; Tor itself gives a silent host up after 125 seconds.'
complete -c epochsocks -n __epochsocks_before_command -l log-level -x -a '1 2 3 4 5' -d 'What is logged: 1 nothing, 2 errors, 3 warnings, 4 notices, 5 everything.'
complete -c epochsocks -n __epochsocks_before_command -l debug -s d -d 'The same as --log-level 5.'
complete -c epochsocks -n __epochsocks_before_command -l quiet -s q -d 'The same as --log-level 1.'
complete -c epochsocks -n __epochsocks_before_command -l log-time -x -a '0 1' -d 'Start each log line with the time.'
complete -c epochsocks -n __epochsocks_before_command -l log-format -x -a 'text json' -d 'How a log line is written: text for people, or json, an object a line.'
complete -c epochsocks -n __epochsocks_before_command -l log-file -r -F -d 'File that the log is appended to, instead of standard error; made so that only its user can read it. journal stands for systemd\'s journal.'
