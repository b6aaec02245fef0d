/* The program that is measured under each preload library. One mode a run; prints one JSON object.
 *
 *   hooks BATCHES                  nanoseconds of each call: as linked, and libc's own
 *   connect THREADS COUNT          connections by connect(), each closed at once
 *   socks THREADS COUNT            the same by a bare SOCKS5 client inside this program
 *   calls THREADS COUNT            the same by one that makes the system calls of our library's hooks
 *   stream MEGABYTES               bytes through one connection
 *   memory COUNT                   resident bytes of each of so many connections
 *   mixed THREADS MILLISECONDS     getpeername on connections, dup and close of a file
 *   plain BATCHES                  nanoseconds of a system call that nobody looks at
 *   socket BATCHES                 nanoseconds of a TCP socket that is made and closed
 *   instructions                   see tests/instruction_counts.rs
 *
 * BENCH_PORT is the SOCKS server's port on 127.0.0.1; BENCH_HOST and BENCH_HOST_PORT are where to go
 * through it, unless to an address that leads nowhere; BENCH_DIRECT makes `connect` and its like dial
 * the server's sink port without SOCKS (what no torifier can beat). */
#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_ZERO_STATS
#define CALLGRIND_DUMP_STATS_AT(name) (void)(name)
#endif

static void must(bool holds, const char *what)
{
	if (!holds) {
		fprintf(stderr, "client: %s: %s\n", what, strerror(errno));
		exit(1);
	}
}

static int64_t now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000ll + time.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;
	return (left > right) - (left < right);
}

static double at(double *values, size_t count, double rank)
{
	qsort(values, count, sizeof *values, compare);
	return values[(size_t)(rank * (double)(count - 1))];
}

/* --- connections --- */

static struct sockaddr_in address(const char *host, int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	inet_pton(AF_INET, host, &address.sin_addr);
	return address;
}

static int tcp(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(fd >= 0, "socket");
	/* A reset instead of TIME_WAIT, or a long run has no ports left. */
	struct linger linger = {1, 0};
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
	return fd;
}

/* The addresses to reach, and of the server: read once, as getenv is a hook of some torifiers. */
static struct sockaddr_in destination, server;
/* Greeting and request to the server in one write, as Tor allows without authentication. */
static unsigned char ask[] = {5, 1, 0, 5, 1, 0, 1, 0, 0, 0, 0, 0, 0};

static void read_addresses(void)
{
	const char *host = getenv("BENCH_HOST"), *port = getenv("BENCH_HOST_PORT");
	const char *socks = getenv("BENCH_PORT"), *sink = getenv("BENCH_DIRECT");
	destination = address(host ? host : "203.0.113.7", port ? atoi(port) : 80);
	if (sink)
		destination = address("127.0.0.1", atoi(sink));
	server = address("127.0.0.1", socks ? atoi(socks) : 0);
	memcpy(ask + 7, &destination.sin_addr, 4);
	memcpy(ask + 11, &destination.sin_port, 2);
}

static int through_the_torifier(void)
{
	int fd = tcp();
	must(connect(fd, (struct sockaddr *)&destination, sizeof destination) == 0, "connect");
	return fd;
}

static void read_exactly(int fd, void *buffer, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t got = read(fd, (char *)buffer + done, size - done);
		must(got > 0, "the SOCKS server hung up");
		done += (size_t)got;
	}
}

static int by_bare_socks(void)
{
	unsigned char answer[12];
	int fd = tcp();
	must(connect(fd, (struct sockaddr *)&server, sizeof server) == 0, "connect to the SOCKS server");
	must(write(fd, ask, sizeof ask) == sizeof ask, "write");
	read_exactly(fd, answer, sizeof answer);
	must(answer[0] == 5 && answer[1] == 0 && answer[3] == 0, "the SOCKS server refused");
	return fd;
}

static void ask_for_cookie(int fd)
{
	uint64_t cookie;
	socklen_t size = sizeof cookie;
	must(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0, "SO_COOKIE");
}

/* As the hooks do it on a socket that they have seen made: each call is there for what src/sockets says. */
static int by_bare_calls(void)
{
	unsigned char answer[12];
	uint64_t all = ~UINT64_C(0), before;
	struct timespec limit = {0, 100000000};
	int fd = tcp(), own = fcntl(fd, F_DUPFD_CLOEXEC, 512), protocol;
	socklen_t size = sizeof protocol;
	must(getsockopt(own, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) == 0, "SO_PROTOCOL");
	ask_for_cookie(own);
	fcntl(own, F_GETFL);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, sizeof all);
	sendto(own, "", 0, MSG_DONTWAIT | MSG_NOSIGNAL | MSG_FASTOPEN, (struct sockaddr *)&server, sizeof server);
	must(send(own, ask, sizeof ask, MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof ask, "send");
	syscall(SYS_gettid);
	struct pollfd entry = {own, POLLIN, 0};
	syscall(SYS_ppoll, &entry, 1, &limit, &before, sizeof before);
	ask_for_cookie(own);
	must(recv(own, answer, 9, MSG_DONTWAIT) == 9 && recv(own, answer + 9, 3, MSG_DONTWAIT) == 3,
	     "the SOCKS server has not answered at once");
	close(own);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, sizeof before);
	must(answer[0] == 5 && answer[1] == 0 && answer[3] == 0, "the SOCKS server refused");
	return fd;
}

struct load {
	int (*dial)(void);
	int count;
	double *latencies;
	pthread_barrier_t *start;
};

static void *dial_and_close(void *argument)
{
	struct load *load = argument;
	pthread_barrier_wait(load->start);
	for (int i = 0; i < load->count; i++) {
		int64_t before = now();
		int fd = load->dial();
		load->latencies[i] = (double)(now() - before) / 1e3;
		close(fd);
	}
	return NULL;
}

static void connections(int (*dial)(void), int threads, int count)
{
	double *latencies = calloc((size_t)(threads * count), sizeof *latencies);
	pthread_t *ids = calloc((size_t)threads, sizeof *ids);
	struct load *loads = calloc((size_t)threads, sizeof *loads);
	pthread_barrier_t start;
	pthread_barrier_init(&start, NULL, (unsigned)threads + 1);
	for (int i = 0; i < threads; i++) {
		loads[i] = (struct load){dial, count, latencies + i * count, &start};
		must(pthread_create(&ids[i], NULL, dial_and_close, &loads[i]) == 0, "pthread_create");
	}
	pthread_barrier_wait(&start);
	int64_t before = now();
	for (int i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	double seconds = (double)(now() - before) / 1e9;
	size_t all = (size_t)(threads * count);
	printf("{\"rate\": %.1f, \"median\": %.2f, \"p90\": %.2f, \"p99\": %.2f}\n",
	       (double)all / seconds, at(latencies, all, 0.5), at(latencies, all, 0.9),
	       at(latencies, all, 0.99));
}

static void stream(long megabytes)
{
	static char buffer[1 << 16];
	int fd = through_the_torifier();
	int64_t before = now();
	for (long left = megabytes << 20; left > 0;) {
		ssize_t sent = write(fd, buffer, sizeof buffer);
		must(sent > 0, "write");
		left -= sent;
	}
	shutdown(fd, SHUT_WR);
	/* The sink closes when it has read everything. */
	read(fd, buffer, 1);
	printf("{\"rate\": %.1f}\n", (double)megabytes / ((double)(now() - before) / 1e9));
}

static long resident(void)
{
	long size, pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");
	must(file && fscanf(file, "%ld %ld", &size, &pages) == 2, "/proc/self/statm");
	fclose(file);
	return pages * sysconf(_SC_PAGESIZE);
}

static void memory(int count)
{
	/* The first one pays for what is mapped once. */
	int first = through_the_torifier();
	resident();
	long before = resident();
	for (int i = 0; i < count; i++)
		through_the_torifier();
	printf("{\"bytes\": %.1f}\n", (double)(resident() - before) / count);
	close(first);
}

/* --- calls --- */

struct calls {
	typeof(&close) close;
	typeof(&getpeername) getpeername;
	typeof(&dup) dup;
	typeof(&dup2) dup2;
	typeof(&fcntl) fcntl;
	typeof(&socket) socket;
	typeof(&connect) connect;
	typeof(&accept4) accept4;
	typeof(&sendto) sendto;
	typeof(&recvmsg) recvmsg;
	typeof(&read) read;
	typeof(&write) write;
	typeof(&poll) poll;
	typeof(&epoll_wait) epoll_wait;
	typeof(&getsockopt) getsockopt;
	typeof(&syscall) syscall;
	typeof(&setsockopt) setsockopt;
	typeof(&send) send;
	typeof(&recv) recv;
	typeof(&sendmsg) sendmsg;
	typeof(&epoll_ctl) epoll_ctl;
	typeof(&select) select;
	typeof(&ioctl) ioctl;
	typeof(&shutdown) shutdown;
};

static struct calls linked(void)
{
	return (struct calls){close,	  getpeername, dup,   dup2,    fcntl,	   socket,
			      connect,	  accept4,     sendto, recvmsg, read,	   write,
			      poll,	  epoll_wait,  getsockopt, syscall, setsockopt, send,
			      recv,	  sendmsg,     epoll_ctl, select, ioctl,   shutdown};
}

/* In libc's own symbol table: dlsym and dlvsym may be hooked. */
static void *find(const struct link_map *libc, const char *name)
{
	const char *strings = NULL;
	const ElfW(Sym) *symbols = NULL;
	const uint32_t *hash = NULL;
	for (const ElfW(Dyn) *entry = libc->l_ld; entry->d_tag != DT_NULL; entry++) {
		if (entry->d_tag == DT_STRTAB)
			strings = (const char *)entry->d_un.d_ptr;
		if (entry->d_tag == DT_SYMTAB)
			symbols = (const ElfW(Sym) *)entry->d_un.d_ptr;
		if (entry->d_tag == DT_GNU_HASH)
			hash = (const uint32_t *)entry->d_un.d_ptr;
	}
	must(strings && symbols && hash, "libc's symbol table");
	uint32_t wanted = 5381;
	for (const char *at = name; *at; at++)
		wanted = wanted * 33 + (unsigned char)*at;
	const uint32_t *buckets = hash + 4 + 2 * hash[2], *chain = buckets + hash[0] - hash[1];
	uint32_t index = buckets[wanted % hash[0]];
	for (bool more = index != 0; more; more = !(chain[index++] & 1)) {
		const ElfW(Sym) *symbol = &symbols[index];
		if (symbol->st_shndx && !strcmp(strings + symbol->st_name, name))
			return (void *)(libc->l_addr + symbol->st_value);
	}
	return NULL;
}

/* libc's own, also where a preload library stands before it. */
static struct calls libcs(void)
{
	struct link_map *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
	must(libc != NULL, "libc.so.6");
	struct calls calls;
#define FIND(name)                                                                                 \
	do {                                                                                       \
		Dl_info where;                                                                     \
		calls.name = (typeof(calls.name))find(libc, #name);                               \
		must(calls.name && dladdr((void *)calls.name, &where) &&                           \
			     strstr(where.dli_fname, "libc.so"),                                   \
		     "libc's " #name " can't be found");                                           \
	} while (0)
	FIND(close);
	FIND(getpeername);
	FIND(dup);
	FIND(dup2);
	FIND(fcntl);
	FIND(socket);
	FIND(connect);
	FIND(accept4);
	FIND(sendto);
	FIND(recvmsg);
	FIND(read);
	FIND(write);
	FIND(poll);
	FIND(epoll_wait);
	FIND(getsockopt);
	FIND(syscall);
	FIND(setsockopt);
	FIND(send);
	FIND(recv);
	FIND(sendmsg);
	FIND(epoll_ctl);
	FIND(select);
	FIND(ioctl);
	FIND(shutdown);
	return calls;
}

static int file, pair[2], tracked, listener, epoll, copy, quiet[2], datagram;
#define VACANT 900

static void close_vacant(const struct calls *c)
{
	c->close(VACANT);
}

static void dup_and_close(const struct calls *c)
{
	c->close(c->dup(file));
}

static void dup_tracked_and_close(const struct calls *c)
{
	c->close(c->dup(tracked));
}

static void dup2_file(const struct calls *c)
{
	c->dup2(file, copy);
}

static void getpeername_untracked(const struct calls *c)
{
	struct sockaddr_storage peer;
	socklen_t length = sizeof peer;
	c->getpeername(pair[0], (struct sockaddr *)&peer, &length);
}

static void getpeername_tracked(const struct calls *c)
{
	struct sockaddr_storage peer;
	socklen_t length = sizeof peer;
	c->getpeername(tracked, (struct sockaddr *)&peer, &length);
}

static void fcntl_untracked(const struct calls *c)
{
	c->fcntl(file, F_GETFD);
}

static void fcntl_tracked(const struct calls *c)
{
	c->fcntl(tracked, F_GETFD);
}

static void socket_unix_and_close(const struct calls *c)
{
	c->close(c->socket(AF_UNIX, SOCK_STREAM, 0));
}

static void socket_inet_and_close(const struct calls *c)
{
	c->close(c->socket(AF_INET, SOCK_STREAM, 0));
}

static void connect_unix(const struct calls *c)
{
	static const struct sockaddr_un nowhere = {AF_UNIX, "/nonexistent/socket"};
	c->connect(quiet[0], (const struct sockaddr *)&nowhere, sizeof nowhere);
}

static void accept4_unix(const struct calls *c)
{
	c->accept4(listener, NULL, NULL, 0);
}

static void sendto_untracked(const struct calls *c)
{
	c->sendto(pair[0], "", 0, MSG_DONTWAIT, NULL, 0);
}

static void sendto_unix_address(const struct calls *c)
{
	static const struct sockaddr_un nowhere = {AF_UNIX, "/nonexistent/socket"};
	c->sendto(datagram, "", 0, MSG_DONTWAIT, (const struct sockaddr *)&nowhere, sizeof nowhere);
}

static void send_untracked(const struct calls *c)
{
	c->send(pair[0], "", 0, MSG_DONTWAIT);
}

static void send_tracked(const struct calls *c)
{
	c->send(tracked, "", 0, MSG_DONTWAIT);
}

static void sendmsg_untracked(const struct calls *c)
{
	struct iovec part = {"", 0};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	c->sendmsg(pair[0], &message, MSG_DONTWAIT);
}

static void sendmsg_with_a_file(const struct calls *c)
{
	char control[CMSG_SPACE(sizeof(int))] = {0}, byte;
	struct iovec part = {"", 1};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control,
				 .msg_controllen = sizeof control};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	*header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET,
				   .cmsg_type = SCM_RIGHTS};
	memcpy(CMSG_DATA(header), &file, sizeof file);
	c->sendmsg(pair[0], &message, MSG_DONTWAIT);
	/* Without room for it the kernel drops the descriptor. */
	c->recv(pair[1], &byte, 1, MSG_DONTWAIT);
}

static void recv_untracked(const struct calls *c)
{
	char byte;
	c->recv(pair[0], &byte, 1, MSG_DONTWAIT);
}

static void recv_tracked(const struct calls *c)
{
	char byte;
	c->recv(tracked, &byte, 1, MSG_DONTWAIT);
}

static void recvmsg_untracked(const struct calls *c)
{
	char byte;
	struct iovec part = {&byte, 1};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	c->recvmsg(pair[0], &message, MSG_DONTWAIT);
}

static void read_untracked(const struct calls *c)
{
	char byte;
	c->read(pair[0], &byte, 1);
}

static void write_untracked(const struct calls *c)
{
	c->write(file, "", 1);
}

static void poll_untracked(const struct calls *c)
{
	struct pollfd one = {pair[0], POLLIN, 0};
	c->poll(&one, 1, 0);
}

static void poll_tracked(const struct calls *c)
{
	struct pollfd one = {tracked, POLLIN, 0};
	c->poll(&one, 1, 0);
}

static void epoll_wait_empty(const struct calls *c)
{
	struct epoll_event event;
	c->epoll_wait(epoll, &event, 1, 0);
}

static void getsockopt_untracked(const struct calls *c)
{
	int error;
	socklen_t length = sizeof error;
	c->getsockopt(pair[0], SOL_SOCKET, SO_ERROR, &error, &length);
}

static void getsockopt_tracked(const struct calls *c)
{
	int error;
	socklen_t length = sizeof error;
	c->getsockopt(tracked, SOL_SOCKET, SO_ERROR, &error, &length);
}

static void setsockopt_untracked(const struct calls *c)
{
	int on = 1;
	c->setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
}

static void setsockopt_tracked(const struct calls *c)
{
	int on = 1;
	c->setsockopt(tracked, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}

static void epoll_ctl_untracked(const struct calls *c)
{
	struct epoll_event event = {.events = EPOLLIN};
	c->epoll_ctl(epoll, EPOLL_CTL_MOD, pair[1], &event);
}

static void epoll_ctl_tracked(const struct calls *c)
{
	struct epoll_event event = {.events = EPOLLIN};
	c->epoll_ctl(epoll, EPOLL_CTL_MOD, tracked, &event);
}

static void select_untracked(const struct calls *c)
{
	struct timeval none = {0, 0};
	fd_set set;
	FD_ZERO(&set);
	FD_SET(pair[0], &set);
	c->select(pair[0] + 1, &set, NULL, NULL, &none);
}

static void ioctl_untracked(const struct calls *c)
{
	int bytes;
	c->ioctl(pair[0], FIONREAD, &bytes);
}

static void shutdown_untracked(const struct calls *c)
{
	c->shutdown(quiet[0], SHUT_RDWR);
}

static void syscall_getppid(const struct calls *c)
{
	c->syscall(SYS_getppid);
}

#define CALL(name) {#name, name}
static const struct {
	const char *name;
	void (*call)(const struct calls *);
} calls[] = {
	CALL(dup_tracked_and_close), CALL(sendto_unix_address),	 CALL(send_untracked),
	CALL(send_tracked),	    CALL(sendmsg_untracked),	 CALL(sendmsg_with_a_file),
	CALL(recv_untracked),	    CALL(recv_tracked),		 CALL(getsockopt_tracked),
	CALL(setsockopt_untracked),  CALL(setsockopt_tracked),	 CALL(epoll_ctl_untracked),
	CALL(epoll_ctl_tracked),    CALL(select_untracked),	 CALL(ioctl_untracked),
	CALL(shutdown_untracked),
	CALL(close_vacant),	    CALL(dup_and_close),	 CALL(dup2_file),
	CALL(getpeername_untracked), CALL(getpeername_tracked),	 CALL(fcntl_untracked),
	CALL(fcntl_tracked),	    CALL(socket_unix_and_close), CALL(socket_inet_and_close),
	CALL(connect_unix),	    CALL(accept4_unix),		 CALL(sendto_untracked),
	CALL(recvmsg_untracked),	    CALL(read_untracked),	 CALL(write_untracked),
	CALL(poll_untracked),	    CALL(poll_tracked),		 CALL(epoll_wait_empty),
	CALL(getsockopt_untracked),  CALL(syscall_getppid),
};
#define CALLS (sizeof calls / sizeof *calls)

static void prepare(void)
{
	struct sockaddr_un autobind = {.sun_family = AF_UNIX};
	file = open("/dev/null", O_RDWR | O_CLOEXEC);
	copy = open("/dev/null", O_RDWR | O_CLOEXEC);
	must(file >= 0 && copy >= 0, "/dev/null");
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0, "socketpair");
	quiet[0] = socket(AF_UNIX, SOCK_STREAM, 0);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	must(bind(listener, (struct sockaddr *)&autobind, sizeof(sa_family_t)) == 0, "bind");
	must(listen(listener, 1) == 0, "listen");
	epoll = epoll_create1(EPOLL_CLOEXEC);
	datagram = socket(AF_UNIX, SOCK_DGRAM, 0);
	tracked = through_the_torifier();
	struct epoll_event none = {0};
	must(epoll_ctl(epoll, EPOLL_CTL_ADD, pair[1], &none) == 0, "epoll_ctl");
	must(epoll_ctl(epoll, EPOLL_CTL_ADD, tracked, &none) == 0, "epoll_ctl");
}

static double time_of(void (*call)(const struct calls *), const struct calls *functions)
{
	enum { TIMES = 1000 };
	int64_t before = now();
	for (int i = 0; i < TIMES; i++)
		call(functions);
	return (double)(now() - before) / TIMES;
}

static void *sleep_for_ever(void *unused)
{
	pause();
	return unused;
}

static void hooks(int batches)
{
	struct calls ours = linked(), libc = libcs();
	pthread_t sleeper;
	prepare();
	/* A threaded process, as most that connect. */
	must(pthread_create(&sleeper, NULL, sleep_for_ever, NULL) == 0, "pthread_create");
	double *hooked = calloc((size_t)batches, sizeof *hooked);
	double *plain = calloc((size_t)batches, sizeof *plain);
	printf("{");
	for (size_t i = 0; i < CALLS; i++) {
		/* Batches of both alternate, so that a disturbance falls on both. */
		for (int batch = 0; batch < batches; batch++) {
			hooked[batch] = time_of(calls[i].call, &ours);
			plain[batch] = time_of(calls[i].call, &libc);
		}
		printf("%s\"%s\": [%.2f, %.2f]", i ? ", " : "", calls[i].name,
		       at(hooked, (size_t)batches, 0.5), at(plain, (size_t)batches, 0.5));
	}
	printf("}\n");
}

static void instructions(void)
{
	enum { TIMES = 100 };
	struct calls ours = linked();
	/* The calls' arguments and the hooks' frames on one page, wherever the stack begins: the hooks ask
	   the kernel about memory on other pages. */
	volatile char *room = alloca(((uintptr_t)__builtin_frame_address(0) + 1024) % 4096 + 16);
	room[0] = 0;
	prepare();
	for (size_t i = 0; i < CALLS; i++) {
		/* Once for what the first call of a function does besides. */
		calls[i].call(&ours);
		CALLGRIND_ZERO_STATS;
		for (int time = 0; time < TIMES; time++)
			calls[i].call(&ours);
		CALLGRIND_DUMP_STATS_AT(calls[i].name);
	}
}

/* --- many threads --- */

static atomic_bool stop;

static void *mix(void *count)
{
	struct calls c = linked();
	struct sockaddr_storage peer;
	int mine = through_the_torifier();
	uint64_t done = 0;
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		for (int i = 0; i < 8; i++) {
			socklen_t length = sizeof peer;
			c.getpeername(mine, (struct sockaddr *)&peer, &length);
		}
		c.close(c.dup(file));
		done += 10;
	}
	*(uint64_t *)count = done;
	close(mine);
	return NULL;
}

static void mixed(int threads, int milliseconds)
{
	pthread_t *ids = calloc((size_t)threads, sizeof *ids);
	uint64_t *counts = calloc((size_t)threads, 128), sum = 0;
	file = open("/dev/null", O_RDWR | O_CLOEXEC);
	int64_t before = now();
	for (int i = 0; i < threads; i++)
		must(pthread_create(&ids[i], NULL, mix, counts + 16 * i) == 0, "pthread_create");
	usleep((useconds_t)milliseconds * 1000);
	atomic_store(&stop, true);
	double span = (double)(now() - before);
	for (int i = 0; i < threads; i++) {
		pthread_join(ids[i], NULL);
		sum += counts[16 * i];
	}
	printf("{\"ns\": %.3f}\n", span / (double)sum);
}

/* A call that libc does not remember and no library stands in front of. */
static void plain(void) { getppid(); }

static void socket_and_close(void) { close(socket(AF_INET, SOCK_STREAM, 0)); }

static void alone(void (*call)(void), int batches)
{
	enum { TIMES = 10000 };
	double *times = calloc((size_t)batches, sizeof *times);
	must(times, "memory");
	for (int batch = 0; batch < batches; batch++) {
		int64_t before = now();
		for (int i = 0; i < TIMES; i++)
			call();
		times[batch] = (double)(now() - before) / TIMES;
	}
	printf("{\"ns\": %.3f}\n", at(times, (size_t)batches, 0.5));
}

int main(int count, char **words)
{
	struct rlimit files;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	read_addresses();
	const char *mode = count > 1 ? words[1] : "";
	int first = count > 2 ? atoi(words[2]) : 1, second = count > 3 ? atoi(words[3]) : 1;
	if (!strcmp(mode, "hooks"))
		hooks(first);
	else if (!strcmp(mode, "connect"))
		connections(through_the_torifier, first, second);
	else if (!strcmp(mode, "socks"))
		connections(by_bare_socks, first, second);
	else if (!strcmp(mode, "calls"))
		connections(by_bare_calls, first, second);
	else if (!strcmp(mode, "stream"))
		stream(first);
	else if (!strcmp(mode, "memory"))
		memory(first);
	else if (!strcmp(mode, "mixed"))
		mixed(first, second);
	else if (!strcmp(mode, "plain"))
		alone(plain, first);
	else if (!strcmp(mode, "socket"))
		alone(socket_and_close, first);
	else if (!strcmp(mode, "instructions"))
		instructions();
	else
		must(false, "unknown mode");
	return 0;
}
