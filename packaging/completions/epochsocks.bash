_epochsocks() {
  local word=${COMP_WORDS[COMP_CWORD]} i value=
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
      --) ((i++)); value=; break ;;
      --registry|--completions|-a|--address|-P|--port|--onion-addr-range|--names|--connect|-u|--user|-p|--pass|--allow-outbound-localhost|--allow-direct|--local-destinations|--passed-sockets|--unprotected-helpers|--supervised-programs|--backstop|--enable-ipv6|--handshake-timeout|--log-level|--log-time|--log-format|--log-file)
        value=$i
        ((i++))
        [[ ${COMP_WORDS[i]} == = ]] && ((i++)) ;;
      -*) [[ ${COMP_WORDS[i + 1]} == = ]] && ((i += 2)) ;;
      *) break ;;
    esac
  done
  if ((i < COMP_CWORD)); then
    case ${COMP_WORDS[i]} in
      on) COMPREPLY=($(compgen -W 'bash zsh fish' -- "$word")) ;;
      off) COMPREPLY=($(compgen -W 'bash zsh fish' -- "$word")) ;;
      doctor) COMPREPLY=($(compgen -c -W '--self-test --json' -- "$word")) ;;
      status) COMPREPLY=($(compgen -W '--all --watch --json' -- "$word")) ;;
      *) declare -F _command_offset >/dev/null && _command_offset "$i" ;;
    esac
    return
  fi
  if ((i > COMP_CWORD)); then
    [[ $word == = ]] && word=
    case ${COMP_WORDS[value]} in
      --registry) COMPREPLY=($(compgen -W 'slots slots-barrier slots-epoch slots-hazard counted type-stable mutex mutex-slots sharded snapshot slots-crossbeam' -- "$word")) ;;
      --completions) COMPREPLY=($(compgen -W 'bash zsh fish' -- "$word")) ;;
      -a|--address) COMPREPLY=($(:)) ;;
      -P|--port) COMPREPLY=($(:)) ;;
      --onion-addr-range) COMPREPLY=($(:)) ;;
      --names) COMPREPLY=($(compgen -W 'resolve cookie' -- "$word")) ;;
      --connect) COMPREPLY=($(compgen -W 'auto wait' -- "$word")) ;;
      -u|--user) COMPREPLY=($(:)) ;;
      -p|--pass) COMPREPLY=($(:)) ;;
      --allow-outbound-localhost) COMPREPLY=($(compgen -W '0 1 2' -- "$word")) ;;
      --allow-direct) COMPREPLY=($(:)) ;;
      --local-destinations) COMPREPLY=($(compgen -W 'refuse tor' -- "$word")) ;;
      --passed-sockets) COMPREPLY=($(compgen -W 'refuse drop torified allow' -- "$word")) ;;
      --unprotected-helpers) COMPREPLY=($(:)) ;;
      --supervised-programs) COMPREPLY=($(:)) ;;
      --backstop) COMPREPLY=($(compgen -W '0 1 best-effort' -- "$word")) ;;
      --enable-ipv6) COMPREPLY=($(compgen -W '0 1' -- "$word")) ;;
      --handshake-timeout) COMPREPLY=($(:)) ;;
      --log-level) COMPREPLY=($(compgen -W '1 2 3 4 5' -- "$word")) ;;
      --log-time) COMPREPLY=($(compgen -W '0 1' -- "$word")) ;;
      --log-format) COMPREPLY=($(compgen -W 'text json' -- "$word")) ;;
      --log-file) COMPREPLY=($(compgen -f -- "$word")) ;;
    esac
    return
  fi
  case $word in
    -*) COMPREPLY=($(compgen -W '-h --help -V --version --shell --redirect --no-redirect --registry --man --sample-configuration --completions -a --address -P --port --onion-addr-range --names --connect -u --user -p --pass -i --isolate --isolate-destination --allow-inbound --allow-outbound-localhost --allow-direct --local-destinations --passed-sockets --unprotected-helpers --supervised-programs --backstop --no-backstop --enable-ipv6 -6 --ipv6 --handshake-timeout --log-level -d --debug -q --quiet --log-time --log-format --log-file' -- "$word")) ;;
    *) COMPREPLY=($(compgen -c -W 'on off show doctor status help' -- "$word")) ;;
  esac
}
complete -F _epochsocks epochsocks
