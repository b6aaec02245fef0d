/* assembly WAY [PROGRAM]: one way to reach 198.51.100.1 beside Tor that no hook sees, by system calls in
   the program's own assembly. What comes of it the network sees; the errno of what was refused is printed.
   The numbers are no constants in the code, so that the launcher does not refuse the program for them. */
#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <linux/io_uring.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static volatile long socket_number = SYS_socket, connect_number = SYS_connect, sendto_number = SYS_sendto,
                     sendmsg_number = SYS_sendmsg, execve_number = SYS_execve,
                     setup_number = SYS_io_uring_setup, enter_number = SYS_io_uring_enter;

static struct sockaddr_in there = {.sin_family = AF_INET};
static char text[] = "leak";
static const char *program;

static long enter(long number, long a, long b, long c, long d, long e, long f)
{
#if defined(__x86_64__)
    register long fourth __asm__("r10") = d, fifth __asm__("r8") = e, sixth __asm__("r9") = f;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth), "r"(sixth)
                     : "rcx", "r11", "memory");
    return result;
#else
    register long call __asm__("x8") = number, first __asm__("x0") = a, second __asm__("x1") = b,
                  third __asm__("x2") = c, fourth __asm__("x3") = d, fifth __asm__("x4") = e,
                  sixth __asm__("x5") = f;
    __asm__ volatile("svc 0"
                     : "+r"(first)
                     : "r"(call), "r"(second), "r"(third), "r"(fourth), "r"(fifth), "r"(sixth)
                     : "memory");
    return first;
#endif
}

static long tell(const char *call, long result)
{
    if (result < 0)
        printf("%s: %s\n", call, strerrorname_np((int)-result));
    return result;
}

static int tcp(void)
{
    return socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
}

static int raw_socket(int family, int kind)
{
    return (int)tell("socket", enter(socket_number, family, kind, 0, 0, 0, 0));
}

static void raw_connect(int fd)
{
    tell("connect", enter(connect_number, fd, (long)&there, sizeof there, 0, 0, 0));
}

static void by_socket(void)
{
    raw_connect(raw_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK));
}

/* The hook's own call leaves nothing in the registers that this one does not set. */
static void by_socket_after_a_hook(void)
{
    close(tcp());
#if defined(__x86_64__)
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(socket_number), "D"(AF_INET), "S"(SOCK_STREAM | SOCK_NONBLOCK), "d"(0)
                     : "rcx", "r11", "memory");
    raw_connect((int)tell("socket", result));
#else
    by_socket();
#endif
}

static void by_connect(void)
{
    raw_connect(tcp());
}

static void by_fast_open(void)
{
    long fd = tcp();
    tell("sendto", enter(sendto_number, fd, (long)text, 4, MSG_FASTOPEN, (long)&there, sizeof there));
}

static void by_fast_open_message(void)
{
    struct iovec data = {text, 4};
    struct msghdr message = {
        .msg_name = &there, .msg_namelen = sizeof there, .msg_iov = &data, .msg_iovlen = 1};
    tell("sendmsg", enter(sendmsg_number, tcp(), (long)&message, MSG_FASTOPEN, 0, 0, 0));
}

static void by_datagram(void)
{
    long fd = raw_socket(AF_INET, SOCK_DGRAM);
    tell("sendto", enter(sendto_number, fd, (long)text, 4, 0, (long)&there, sizeof there));
}

static void by_datagram_message(void)
{
    struct iovec data = {text, 4};
    struct msghdr message = {
        .msg_name = &there, .msg_namelen = sizeof there, .msg_iov = &data, .msg_iovlen = 1};
    long fd = raw_socket(AF_INET, SOCK_DGRAM);
    tell("sendmsg", enter(sendmsg_number, fd, (long)&message, 0, 0, 0, 0));
}

static void by_packet(void)
{
    struct sockaddr_ll link = {.sll_family = AF_PACKET, .sll_protocol = htons(0x88b5), .sll_halen = 6};
    link.sll_ifindex = (int)if_nametoindex("trap");
    int fd = raw_socket(AF_PACKET, SOCK_DGRAM);
    tell("sendto", enter(sendto_number, fd, (long)text, 4, 0, (long)&link, sizeof link));
}

static void *in_thread(void *nothing)
{
    by_socket();
    return nothing;
}

static void by_thread(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, in_thread, NULL);
    pthread_join(thread, NULL);
}

/* To a port of this machine. */
static void by_port(void)
{
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(program)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (tell("connect", enter(connect_number, fd, (long)&here, sizeof here, 0, 0, 0)) == 0)
        puts("connected");
}

/* A ring of one entry, which connects. */
static void by_ring(void)
{
    struct io_uring_params parameters = {0};
    long ring = tell("io_uring_setup", enter(setup_number, 1, (long)&parameters, 0, 0, 0, 0));
    int fd = tcp();
    if (ring < 0)
        return;
    size_t size = parameters.sq_off.array + parameters.sq_entries * sizeof(unsigned);
    char *queue = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, (int)ring, IORING_OFF_SQ_RING);
    struct io_uring_sqe *entry = mmap(NULL, sizeof *entry, PROT_READ | PROT_WRITE, MAP_SHARED, (int)ring,
        IORING_OFF_SQES);
    *entry = (struct io_uring_sqe){.opcode = IORING_OP_CONNECT, .fd = fd, .addr = (uintptr_t)&there,
        .off = sizeof there};
    *(unsigned *)(queue + parameters.sq_off.array) = 0;
    __atomic_store_n((unsigned *)(queue + parameters.sq_off.tail), 1, __ATOMIC_RELEASE);
    tell("io_uring_enter", enter(enter_number, ring, 1, 1, IORING_ENTER_GETEVENTS, 0, 0));
}

/* Another program, without the library in its environment. */
static void by_execve(void)
{
    const char *arguments[] = {program, "system-calls", NULL}, *nothing[] = {NULL};
    fflush(stdout);
    tell("execve", enter(execve_number, (long)program, (long)arguments, (long)nothing, 0, 0, 0));
}

static const ElfW(Sym) * symbols;
static const char *names;
static uintptr_t base;

static int look_at(struct dl_phdr_info *object, size_t size, void *unused)
{
    (void)size, (void)unused;
    if (!strstr(object->dlpi_name, "/libc.so"))
        return 0;
    base = object->dlpi_addr;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        if (object->dlpi_phdr[i].p_type != PT_DYNAMIC)
            continue;
        for (const ElfW(Dyn) *entry = (void *)(base + object->dlpi_phdr[i].p_vaddr); entry->d_tag; entry++) {
            if (entry->d_tag == DT_SYMTAB)
                symbols = (void *)entry->d_un.d_ptr;
            if (entry->d_tag == DT_STRTAB)
                names = (void *)entry->d_un.d_ptr;
        }
    }
    return 1;
}

static void *in_libc(const char *name)
{
    dl_iterate_phdr(look_at, NULL);
    /* Their table ends where that of names begins. */
    for (const ElfW(Sym) *symbol = symbols; (const char *)symbol < names; symbol++) {
        if (strcmp(names + symbol->st_name, name) == 0 && symbol->st_value)
            return (void *)(base + symbol->st_value);
    }
    return NULL;
}

/* The functions of a C library, found in its tables. */
static void by_library(void)
{
    int (*make)(int, int, int) = in_libc("socket");
    int (*go)(int, const struct sockaddr *, socklen_t) = in_libc("connect");
    int fd = make(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    tell("socket", fd < 0 ? -errno : fd);
    go(fd, (struct sockaddr *)&there, sizeof there);
}

#if defined(__x86_64__)
static long enter_i386(long number, long a, long b, long c)
{
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory", "r8",
                     "r9", "r10", "r11");
    return (int)result;
}

static void by_i386(void)
{
    void *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    memcpy(low, &there, sizeof there);
    /* socket and connect of that table. */
    long fd = tell("socket", enter_i386(359, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    tell("connect", enter_i386(362, fd, (long)low, sizeof there));
}

static void by_x32(void)
{
    const long x32 = 1L << 30;
    long fd = tell("socket",
        enter(x32 | socket_number, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0, 0, 0, 0));
    tell("connect", enter(x32 | connect_number, fd, (long)&there, sizeof there, 0, 0, 0));
}
#endif

static const struct {
    const char *name;
    void (*go)(void);
} ways[] = {
    {"socket", by_socket},
    {"socket-after-a-hook", by_socket_after_a_hook},
    {"connect", by_connect},
    {"fast-open", by_fast_open},
    {"fast-open-message", by_fast_open_message},
    {"datagram", by_datagram},
    {"datagram-message", by_datagram_message},
    {"packet", by_packet},
    {"thread", by_thread},
    {"port", by_port},
    {"ring", by_ring},
    {"execve", by_execve},
    {"library", by_library},
#if defined(__x86_64__)
    {"i386", by_i386},
    {"x32", by_x32},
#endif
};

int main(int count, char **arguments)
{
    there.sin_port = htons(7);
    inet_pton(AF_INET, "198.51.100.1", &there.sin_addr);
    program = count == 3 ? arguments[2] : "";
    for (size_t i = 0; count >= 2 && i < sizeof ways / sizeof *ways; i++) {
        if (strcmp(arguments[1], ways[i].name) == 0) {
            ways[i].go();
            return 0;
        }
    }
    return 2;
}
