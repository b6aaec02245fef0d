// A client that no preload library reaches: linked statically, or by system calls of its own.
//
//   supervised get HOST PORT        looks HOST up, fetches /peer, prints what came
//   supervised raw ADDRESS PORT     the same in inline assembly, with the socket's peer
//   supervised vfork ADDRESS PORT   a vfork child connects
//   supervised closed ADDRESS PORT  after closing every descriptor but the standard ones
//   supervised datagrams            what becomes of datagrams
//   supervised groups               whether multicast groups can be joined
//   supervised beside               whether a datagram reaches another port of this machine than that which its
//                                   socket was connected to, by system calls of its own
//   supervised races                the same with threads that change what a call is about
//   supervised hidden get|raw ...   the same in a process that may not be looked at
//   supervised execute PROGRAM ...  executes it in inline assembly
//   supervised users                the effective and the real user
//   supervised storm ADDRESS PORT   children that connect, are interrupted and killed, and one that connects after
//   supervised listener             a second listener of a filter
//   supervised stuck ADDRESS PORT   whether sockets come about while connects to a full queue are under way
//   supervised alone                what the hooks do once the supervisor was killed
//   supervised killer               what sockets are after the supervisor was killed
//   supervised fastopen ADDRESS PORT
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#ifdef __GLIBC__
#include <linux/filter.h>
#include <linux/seccomp.h>
#endif
#include <net/if.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static const char request[] = "GET /peer HTTP/1.0\r\n\r\n";

static long call(long number, long a, long b, long c, long d, long e, long f) {
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

static struct sockaddr_in at(const char *address, const char *port) {
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
    if (inet_pton(AF_INET, address, &place.sin_addr) != 1) exit(2);
    return place;
}

static int fetch(int fd) {
    char text[1024];
    ssize_t length = 0, got;
    if (write(fd, request, sizeof request - 1) < 0) return perror("write"), 1;
    while ((got = read(fd, text + length, sizeof text - 1 - length)) > 0) length += got;
    text[length] = 0;
    char *body = strstr(text, "\r\n\r\n");
    if (!body) return puts("no answer"), 1;
    fputs(body + 4, stdout);
    return 0;
}

static int get(const char *host, const char *port) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found, *next;
    int error = getaddrinfo(host, port, &hints, &found);
    if (error) return printf("lookup: %s\n", gai_strerror(error)), 1;
    for (next = found; next; next = next->ai_next) {
        int fd = socket(next->ai_family, SOCK_STREAM, 0);
        if (connect(fd, next->ai_addr, next->ai_addrlen) == 0) return fetch(fd);
        perror("connect");
        close(fd);
    }
    return 1;
}

static int raw(struct sockaddr_in place) {
    struct sockaddr_in peer = {0};
    socklen_t length = sizeof peer;
    long fd = call(SYS_socket, AF_INET, SOCK_STREAM, 0, 0, 0, 0);
    long result = call(SYS_connect, fd, (long)&place, sizeof place, 0, 0, 0);
    if (fd < 0 || result) return printf("socket %ld connect %ld\n", fd, result), 1;
    call(SYS_getpeername, fd, (long)&peer, (long)&length, 0, 0, 0);
    printf("peer %s %d\n", inet_ntoa(peer.sin_addr), ntohs(peer.sin_port));
    return fetch(fd);
}

static int closed(struct sockaddr_in place) {
    for (int fd = 3; fd < 1024; fd++) close(fd);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (void *)&place, sizeof place)) return perror("connect"), 1;
    return fetch(fd);
}

static int vforked(struct sockaddr_in place) {
    int fd = socket(AF_INET, SOCK_STREAM, 0), status;
    pid_t child = vfork();
    if (child == 0) _exit(connect(fd, (void *)&place, sizeof place) ? errno : 0);
    waitpid(child, &status, 0);
    if (status) return printf("child %x\n", status), 1;
    return fetch(fd);
}

static int fast_open(struct sockaddr_in place) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ssize_t sent =
        sendto(fd, request, sizeof request - 1, MSG_FASTOPEN, (void *)&place, sizeof place);
    if (sent != sizeof request - 1) return perror("sendto"), 1;
    char byte;
    return read(fd, &byte, 1) == 1 && byte == 'H' ? puts("answered"), 0 : 1;
}

static void tell(const char *what, long result) {
    printf("%s %s\n", what, result < 0 ? strerrorname_np(errno) : "done");
}

static int datagrams(void) {
    struct sockaddr_in place = at("198.51.100.1", "9999"), local = at("127.0.0.53", "53");
    struct iovec data = {"x", 1};
    struct msghdr message = {.msg_name = &place, .msg_namelen = sizeof place, .msg_iov = &data, .msg_iovlen = 1};
    struct mmsghdr many = {.msg_hdr = message};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    tell("sendto", sendto(fd, "x", 1, 0, (void *)&place, sizeof place));
    tell("sendmsg", sendmsg(fd, &message, 0));
    tell("sendmmsg", sendmmsg(fd, &many, 1, 0));
    message.msg_name = &local;
    tell("sendmsg to a local name server", sendmsg(fd, &message, 0));
    tell("connect", connect(fd, (void *)&place, sizeof place));
    tell("raw", socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
    tell("packet", socket(AF_PACKET, SOCK_DGRAM, 0));
    return 0;
}

// Groups of which the routers of every interface would be told.
static int groups(void) {
    struct sockaddr_in four = at("239.192.0.1", "9"), other = at("239.192.0.2", "9");
    struct if_nameindex *all = if_nameindex();
    int fd = socket(AF_INET, SOCK_DGRAM, 0), fd6 = socket(AF_INET6, SOCK_DGRAM, 0), refused = 0, tried = 0;
    for (struct if_nameindex *each = all; each && each->if_index; each++, tried += 3) {
        struct ip_mreqn v4 = {.imr_multiaddr = four.sin_addr, .imr_ifindex = each->if_index};
        struct ipv6_mreq v6 = {.ipv6mr_interface = each->if_index};
        inet_pton(AF_INET6, "ff15::1234", &v6.ipv6mr_multiaddr);
        struct group_req any = {.gr_interface = each->if_index};
        memcpy(&any.gr_group, &other, sizeof other);
        refused += call(SYS_setsockopt, fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, (long)&v4, sizeof v4, 0) == -EPERM;
        refused += call(SYS_setsockopt, fd6, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, (long)&v6, sizeof v6, 0) == -EPERM;
        refused += call(SYS_setsockopt, fd, IPPROTO_IP, MCAST_JOIN_GROUP, (long)&any, sizeof any, 0) == -EPERM;
    }
    if (refused == tried && tried > 0) return puts("no group"), 0;
    printf("refused: %d of %d\n", refused, tried);
    // The first report may wait.
    return sleep(2), 1;
}

// A receiver of our own, and whether anything has come to it.
static int receiver;
static struct sockaddr_in aim;

static void receive_at_a_port(void) {
    socklen_t length = sizeof aim;
    aim = at("127.0.0.1", "0");
    receiver = socket(AF_INET, SOCK_DGRAM, 0);
    if (bind(receiver, (void *)&aim, length) || getsockname(receiver, (void *)&aim, &length)) exit(3);
}

static int arrived(void) {
    char byte;
    int count = 0;
    while (recv(receiver, &byte, 1, MSG_DONTWAIT) >= 0) count++;
    return count;
}

static int to_a_name_server(void) {
    struct sockaddr_in server = at("127.0.0.53", "53");
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (connect(fd, (void *)&server, sizeof server)) exit(4);
    return fd;
}

static void aimed(const char *what, int fd) {
    struct iovec data = {"x", 1};
    struct msghdr message = {.msg_name = &aim, .msg_namelen = sizeof aim, .msg_iov = &data, .msg_iovlen = 1};
    struct mmsghdr many = {.msg_hdr = message};
    call(SYS_sendto, fd, (long)"x", 1, MSG_NOSIGNAL, (long)&aim, sizeof aim);
    printf("%s: sendto %d", what, arrived());
    call(SYS_sendmsg, fd, (long)&message, MSG_NOSIGNAL, 0, 0, 0);
    printf(" sendmsg %d", arrived());
    call(SYS_sendmmsg, fd, (long)&many, 1, MSG_NOSIGNAL, 0, 0);
    printf(" sendmmsg %d\n", arrived());
    fflush(stdout);
}

static int passed(int fd) {
    int ends[2], got;
    union {
        char room[CMSG_SPACE(sizeof fd)];
        struct cmsghdr header;
    } control = {.header = {CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS}};
    struct iovec data = {(char[]){0}, 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
    call(SYS_sendmsg, ends[0], (long)&message, 0, 0, 0, 0);
    message.msg_controllen = sizeof control;
    call(SYS_recvmsg, ends[1], (long)&message, 0, 0, 0, 0);
    memcpy(&got, CMSG_DATA(&control.header), sizeof got);
    return got;
}

static int beside(void) {
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    receive_at_a_port();
    aimed("fresh", socket(AF_INET, SOCK_DGRAM, 0));
    int fd = to_a_name_server();
    aimed("connected", fd);
    aimed("duplicate", dup(fd));
    aimed("passed", passed(fd));
    if (fork() == 0) return aimed("child", fd), 0;
    wait(NULL);
    connect(fd, &nobody, sizeof nobody);
    aimed("let go", fd);
    fd = to_a_name_server();
    call(SYS_connect, fd, (long)&aim, sizeof aim, 0, 0, 0);
    call(SYS_write, fd, (long)"x", 1, 0, 0, 0);
    printf("connected again: write %d\n", arrived());
    return 0;
}

// What the threads change: the port of an address, and what a descriptor names.
static struct sockaddr_in moving;
static int number, local, inet;

static void *change_the_port(void *end) {
    while (!*(volatile int *)end) {
        ((volatile struct sockaddr_in *)&moving)->sin_port = htons(53);
        ((volatile struct sockaddr_in *)&moving)->sin_port = aim.sin_port;
    }
    return NULL;
}

static void *change_the_socket(void *end) {
    while (!*(volatile int *)end) {
        dup2(local, number);
        dup2(inet, number);
    }
    return NULL;
}

static int races(void) {
    static int end;
    pthread_t thread;
    receive_at_a_port();
    moving = aim;
    signal(SIGPIPE, SIG_IGN);
    pthread_create(&thread, NULL, change_the_port, &end);
    for (int i = 0; i < 2000; i++) {
        int fd = socket(AF_INET, SOCK_DGRAM, 0);
        sendto(fd, "x", 1, 0, (void *)&moving, sizeof moving);
        if (connect(fd, (void *)&moving, sizeof moving) == 0 && write(fd, "x", 1) < 0) puts("no write");
        close(fd);
    }
    end = 1;
    pthread_join(thread, NULL);
    printf("another port: %d\n", arrived());

    end = 0;
    local = socket(AF_UNIX, SOCK_DGRAM, 0);
    inet = to_a_name_server();
    number = dup(local);
    pthread_create(&thread, NULL, change_the_socket, &end);
    for (int i = 0; i < 2000; i++) {
        sendto(number, "x", 1, 0, (void *)&aim, sizeof aim);
        connect(number, (void *)&aim, sizeof aim);
        send(inet, "x", 1, 0);
    }
    end = 1;
    pthread_join(thread, NULL);
    printf("another socket: %d\n", arrived());
    return 0;
}

static int execute(char **words) {
    extern char **environ;
    call(SYS_execve, (long)words[0], (long)words, (long)environ, 0, 0, 0);
    return puts("execve failed"), 1;
}

static void nothing(int signal) { (void)signal; }

static int storm(struct sockaddr_in place) {
    struct sigaction interrupted = {.sa_handler = nothing};
    sigaction(SIGALRM, &interrupted, NULL);
    pid_t children[60];
    for (int i = 0; i < 60; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            ualarm(100 + i, 100);
            for (int round = 0; round < 20; round++) {
                int fd = socket(AF_INET, SOCK_STREAM, 0);
                if (connect(fd, (void *)&place, sizeof place) && errno != EINTR) break;
                close(fd);
                if (i % 3 == 0) execl("/proc/self/exe", "supervised", NULL);
            }
            _exit(0);
        }
        if (i % 4 == 0) kill(children[i], SIGKILL);
        if (i % 5 == 0) kill(children[i], SIGSTOP), kill(children[i], SIGCONT);
    }
    while (wait(NULL) > 0) {}
    puts("storm over");
    fflush(stdout);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (void *)&place, sizeof place)) return perror("connect"), 1;
    return fetch(fd);
}

static int listener(void) {
#ifdef __GLIBC__
    struct sock_filter allow = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW};
    struct sock_fprog program = {1, &allow};
    tell("listener", syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program));
    tell("filter", syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
#endif
    return 0;
}

static void *connect_for_ever(void *place) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    connect(fd, place, sizeof(struct sockaddr_in));
    return NULL;
}

// Tells whether a thread of this process waits in connect(2).
static int connects(pid_t thread) {
    char path[64], text[64] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/syscall", thread);
    FILE *file = fopen(path, "r");
    if (file) fgets(text, sizeof text, file), fclose(file);
    return strtol(text, NULL, 10) == SYS_connect && *text != 'r';
}

static int stuck(struct sockaddr_in place) {
    pthread_t thread;
    int first = getpid() + 1;
    for (int i = 0; i < 8; i++) pthread_create(&thread, NULL, connect_for_ever, &place);
    for (int count = 0; count < 7;) {
        count = 0;
        for (pid_t id = first; id < first + 64; id++) count += connects(id);
    }
    for (int i = 0; i < 20; i++)
        if (socket(AF_INET, SOCK_STREAM, 0) < 0) return perror("socket"), 1;
    puts("answered");
    fflush(stdout);
    _exit(0);
}

static void kill_the_supervisor(void) {
    pid_t supervisor = getppid();
    kill(supervisor, SIGKILL);
    while (getppid() == supervisor) usleep(1000);
}

static int alone(void) {
    struct sockaddr_in place = at("127.0.0.1", "0");
    struct sockaddr_un name = {AF_UNIX, "\0supervised-alone"};
    int fd = socket(AF_INET, SOCK_STREAM, 0), server = socket(AF_UNIX, SOCK_STREAM, 0);
    int client = socket(AF_UNIX, SOCK_STREAM, 0), pair[2];
    socklen_t length = sizeof name;
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    bind(server, (void *)&name, sizeof name);
    kill_the_supervisor();
    tell("bind", bind(fd, (void *)&place, sizeof place));
    tell("listen", listen(fd, 1) | listen(server, 1));
    tell("getpeername", getpeername(pair[0], (void *)&(struct sockaddr_un){0}, &length));
    tell("connect", connect(client, (void *)&name, sizeof name));
    return 0;
}

static int killer(void) {
    struct sockaddr_in place = at("198.51.100.1", "80");
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    tell("before", fd);
    kill_the_supervisor();
    tell("socket", socket(AF_INET, SOCK_STREAM, 0));
    tell("connect", connect(fd, (void *)&place, sizeof place));
    fflush(stdout);
    return 0;
}

int main(int count, char **words) {
    if (count > 2 && !strcmp(words[1], "hidden")) prctl(PR_SET_DUMPABLE, 0), count--, words++;
    const char *what = count > 1 ? words[1] : "";
    if (!strcmp(what, "datagrams")) return datagrams();
    if (!strcmp(what, "groups")) return groups();
    if (!strcmp(what, "beside")) return beside();
    if (!strcmp(what, "races")) return races();
    if (!strcmp(what, "killer")) return killer();
    if (!strcmp(what, "alone")) return alone();
    if (!strcmp(what, "users")) return printf("users %d %d\n", geteuid(), getuid()), 0;
    if (!strcmp(what, "listener")) return listener();
    if (!strcmp(what, "execute")) return execute(words + 2);
    if (count < 4) return 2;
    if (!strcmp(what, "get")) return get(words[2], words[3]);
    if (!strcmp(what, "raw")) return raw(at(words[2], words[3]));
    if (!strcmp(what, "storm")) return storm(at(words[2], words[3]));
    if (!strcmp(what, "stuck")) return stuck(at(words[2], words[3]));
    if (!strcmp(what, "closed")) return closed(at(words[2], words[3]));
    if (!strcmp(what, "vfork")) return vforked(at(words[2], words[3]));
    if (!strcmp(what, "fastopen")) return fast_open(at(words[2], words[3]));
    return 2;
}
