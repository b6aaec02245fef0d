/* Looks one name or address up and prints what the C function gave, one line for each result. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <resolv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *text(const struct sockaddr *address, socklen_t length)
{
    static char host[NI_MAXHOST];
    int code = getnameinfo(address, length, host, sizeof host, NULL, 0, NI_NUMERICHOST);
    return code ? gai_strerror(code) : host;
}

static unsigned port(const struct sockaddr *address)
{
    /* The port is at the same place in both families. */
    return ntohs(((const struct sockaddr_in *)address)->sin_port);
}

static int failed(const char *function, int code)
{
    printf("%s %d\n", function, code);
    return 0;
}

/* addrinfo NODE SERVICE FAMILY FLAGS; "-" is NULL, and a family of -1 means NULL hints. Flags of an answer
   are told if they are not those of the call. */
static int addrinfo(char **a)
{
    struct addrinfo hints = {.ai_family = atoi(a[2]), .ai_flags = atoi(a[3]), .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    const char *node = strcmp(a[0], "-") ? a[0] : NULL;
    const char *service = strcmp(a[1], "-") ? a[1] : NULL;
    int code = getaddrinfo(node, service, hints.ai_family < 0 ? NULL : &hints, &list);
    if (code)
        return failed("EAI", code);
    int flags = hints.ai_family < 0 ? AI_V4MAPPED | AI_ADDRCONFIG : hints.ai_flags;
    for (struct addrinfo *each = list; each; each = each->ai_next) {
        printf("%d %d %s %u %s\n", each->ai_family, each->ai_socktype, text(each->ai_addr, each->ai_addrlen),
               port(each->ai_addr), each->ai_canonname ? each->ai_canonname : "-");
        if (each->ai_flags != flags)
            printf("flags %x\n", each->ai_flags);
    }
    freeaddrinfo(list);
    return 0;
}

static int print(const struct hostent *host)
{
    char address[INET6_ADDRSTRLEN];
    if (!host)
        return failed("h_errno", h_errno);
    for (char **each = host->h_addr_list; *each; each++)
        printf("%s %d %d %s\n", host->h_name, host->h_addrtype, host->h_length,
               inet_ntop(host->h_addrtype, *each, address, sizeof address));
    return 0;
}

/* byname NAME FAMILY */
static int byname(char **a)
{
    return print(atoi(a[1]) == AF_INET ? gethostbyname(a[0]) : gethostbyname2(a[0], atoi(a[1])));
}

/* byname_r NAME FAMILY SIZE: what it returns, h_errno, then the host. */
static int byname_r(char **a)
{
    static char buffer[1024];
    struct hostent host, *result = &host;
    int error = 0, code;
    if (atoi(a[1]) == AF_INET)
        code = gethostbyname_r(a[0], &host, buffer, atoi(a[2]), &result, &error);
    else
        code = gethostbyname2_r(a[0], atoi(a[1]), &host, buffer, atoi(a[2]), &result, &error);
    printf("%d %d\n", code, error);
    return result ? print(result) : 0;
}

static socklen_t binary(const char *address, unsigned char *bytes, int *family)
{
    *family = strchr(address, ':') ? AF_INET6 : AF_INET;
    if (inet_pton(*family, address, bytes) != 1)
        exit(2);
    return *family == AF_INET6 ? 16 : 4;
}

/* byaddr ADDRESS: by both forms. */
static int byaddr(char **a)
{
    static char buffer[1024];
    unsigned char bytes[16];
    int family, error = 0;
    struct hostent host, *result = NULL;
    socklen_t length = binary(a[0], bytes, &family);
    print(gethostbyaddr(bytes, length, family));
    gethostbyaddr_r(bytes, length, family, &host, buffer, sizeof buffer, &result, &error);
    return print(result);
}

/* nameinfo ADDRESS FLAGS, port 443. */
static int nameinfo(char **a)
{
    char host[NI_MAXHOST], service[NI_MAXSERV];
    struct sockaddr_storage storage = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&storage;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&storage;
    unsigned char bytes[16];
    int family;
    socklen_t length = binary(a[0], bytes, &family);
    storage.ss_family = family;
    v4->sin_port = htons(443);
    memcpy(family == AF_INET6 ? (void *)&v6->sin6_addr : (void *)&v4->sin_addr, bytes, length);
    length = family == AF_INET6 ? sizeof *v6 : sizeof *v4;
    int code = getnameinfo((struct sockaddr *)&storage, length, host, sizeof host, service, sizeof service, atoi(a[1]));
    if (code)
        return failed("EAI", code);
    printf("%s %s\n", host, service);
    return 0;
}

/* cookies COUNT: so many onion names, one line each. */
static int cookies(char **a)
{
    for (int i = 0; i < atoi(a[0]); i++) {
        char name[20], text[INET_ADDRSTRLEN];
        struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *list;
        snprintf(name, sizeof name, "%d.onion", i);
        int code = getaddrinfo(name, NULL, &hints, &list);
        if (code) {
            failed("EAI", code);
            continue;
        }
        puts(inet_ntop(AF_INET, &((struct sockaddr_in *)list->ai_addr)->sin_addr, text, sizeof text));
        freeaddrinfo(list);
    }
    return 0;
}

/* forked NAME: a child looks NAME up and tells the address, the parent asks for its name. */
static int forked(char **a)
{
    int ends[2];
    unsigned char bytes[4];
    if (pipe(ends))
        return 2;
    if (fork() == 0) {
        struct hostent *host = gethostbyname(a[0]);
        if (host && write(ends[1], host->h_addr_list[0], 4) == 4)
            _exit(0);
        _exit(2);
    }
    wait(NULL);
    if (read(ends[0], bytes, 4) != 4)
        return 2;
    return print(gethostbyaddr(bytes, 4, AF_INET));
}

/* Functions of programs that were linked before glibc 2.34: no header declares it, the linker finds no
   default version of it, and the dynamic linker does. */
typedef int query(const char *, int, int, unsigned char *, int);
typedef int nquery(res_state, const char *, int, int, unsigned char *, int);
typedef int querydomain(const char *, const char *, int, int, unsigned char *, int);
typedef int nquerydomain(res_state, const char *, const char *, int, int, unsigned char *, int);
typedef int send_(const unsigned char *, int, unsigned char *, int);
typedef int nsend(res_state, const unsigned char *, int, unsigned char *, int);

typedef struct hostent *by_name(const char *), *by_name2(const char *, int), *by_address(const void *, int, int);

#if defined(__x86_64__)
#define OLDEST "GLIBC_2.2.5"
#else
#define OLDEST "GLIBC_2.17"
#endif

/* True if `host` is a host with one address. */
static int is_found(const struct hostent *host)
{
    return host && host->h_addr_list[0] && !host->h_addr_list[1];
}

/* older HOST: how many of libresolv's own look-ups find something, by two ways. */
static int older(char **a)
{
    void *ways[] = {RTLD_DEFAULT, dlopen("libresolv.so.2", RTLD_NOW | RTLD_GLOBAL)};
    struct in_addr address = {htonl(0xc0000201)};
    int found = 0;
    for (int i = 0; i < 2; i++) {
        found += is_found(((by_name *)dlvsym(ways[i], "res_gethostbyname", OLDEST))(a[0]));
        found += is_found(((by_name2 *)dlvsym(ways[i], "res_gethostbyname2", OLDEST))(a[0], AF_INET));
        found += is_found(((by_address *)dlvsym(ways[i], "res_gethostbyaddr", OLDEST))(&address, 4, AF_INET));
    }
    printf("%d\n", found);
    return 0;
}

/* old HOST DOMAIN: how many of the old names answer an A query. */
static int old(char **a)
{
    static unsigned char answer[1024], message[512];
    static struct __res_state state;
    char name[512];
    int answered = 0, size = sizeof answer;
    snprintf(name, sizeof name, "%s.%s", a[0], a[1]);
    int length = res_mkquery(0, name, C_IN, 1, NULL, 0, NULL, message, sizeof message);
    answered += ((query *)dlsym(RTLD_DEFAULT, "__res_query"))(name, C_IN, 1, answer, size) > 0;
    answered += ((query *)dlsym(RTLD_DEFAULT, "__res_search"))(name, C_IN, 1, answer, size) > 0;
    answered += ((nquery *)dlsym(RTLD_DEFAULT, "__res_nquery"))(&state, name, C_IN, 1, answer, size) > 0;
    answered += ((nquery *)dlsym(RTLD_DEFAULT, "__res_nsearch"))(&state, name, C_IN, 1, answer, size) > 0;
    answered += ((querydomain *)dlsym(RTLD_DEFAULT, "__res_querydomain"))(a[0], a[1], C_IN, 1, answer, size) > 0;
    answered += ((nquerydomain *)dlsym(RTLD_DEFAULT, "__res_nquerydomain"))(&state, a[0], a[1], C_IN, 1, answer, size) > 0;
    answered += ((send_ *)dlsym(RTLD_DEFAULT, "__res_send"))(message, length, answer, size) > 0;
    answered += ((nsend *)dlsym(RTLD_DEFAULT, "__res_nsend"))(&state, message, length, answer, size) > 0;
    printf("%d\n", answered);
    return 0;
}

/* hostid */
static int hostid(char **a)
{
    (void)a;
    printf("%lx\n", gethostid());
    return 0;
}

/* dns FORM HOST DOMAIN TYPE: the answer's length, code, number of records and last 4 bytes. */
static int dns(char **a)
{
    static unsigned char answer[1024], message[512];
    static struct __res_state state;
    char name[512];
    int length = -1, type = atoi(a[3]), size = sizeof answer;
    snprintf(name, sizeof name, "%s.%s", a[1], a[2]);
    int query = res_mkquery(0, name, C_IN, type, NULL, 0, NULL, message, sizeof message);
    if (!strcmp(a[0], "query"))
        length = res_query(name, C_IN, type, answer, size);
    else if (!strcmp(a[0], "nquery"))
        length = res_nquery(&state, name, C_IN, type, answer, size);
    else if (!strcmp(a[0], "search"))
        length = res_search(name, C_IN, type, answer, size);
    else if (!strcmp(a[0], "nsearch"))
        length = res_nsearch(&state, name, C_IN, type, answer, size);
    else if (!strcmp(a[0], "querydomain"))
        length = res_querydomain(a[1], a[2], C_IN, type, answer, size);
    else if (!strcmp(a[0], "nquerydomain"))
        length = res_nquerydomain(&state, a[1], a[2], C_IN, type, answer, size);
    else if (!strcmp(a[0], "send"))
        length = res_send(message, query, answer, size);
    else if (!strcmp(a[0], "send-nothing"))
        length = res_send(NULL, 0, answer, size);
    else if (!strcmp(a[0], "nsend"))
        length = res_nsend(&state, message, query, answer, size);
    if (length < 0)
        return failed("h_errno", h_errno);
    printf("%d %d %d", length, answer[3] & 15, answer[7]);
    for (int i = length - 4; i < length; i++)
        printf(" %d", answer[i]);
    puts("");
    return 0;
}

static char *shared;

static void *lookups(void *wrong)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
    for (int i = 0; i < 4; i++) {
        if (getaddrinfo(shared, "80", &hints, &list)) {
            __atomic_fetch_add((int *)wrong, 1, __ATOMIC_RELAXED);
            continue;
        }
        freeaddrinfo(list);
    }
    return NULL;
}

/* threads NAME: 150 threads look NAME up; prints how many lookups failed. */
static int threads(char **a)
{
    static pthread_t thread[150];
    int wrong = 0;
    shared = a[0];
    for (int i = 0; i < 150; i++)
        if (pthread_create(&thread[i], NULL, lookups, &wrong))
            return 2;
    for (int i = 0; i < 150; i++)
        pthread_join(thread[i], NULL);
    printf("%d failed\n", wrong);
    return 0;
}

/* The network functions, which know nothing. */
static int networks(char **a)
{
    struct netent network, *found = &network;
    char buffer[64];
    int error = 0;
    h_errno = 0;
    found = getnetbyname(a[0]);
    printf("%d %d\n", found == NULL, h_errno);
    h_errno = 0;
    found = getnetbyaddr(0x7f, AF_INET);
    printf("%d %d\n", found == NULL, h_errno);
    int result = getnetbyname_r(a[0], &network, buffer, sizeof buffer, &found, &error);
    printf("%d %d %d\n", result, found == NULL, error);
    result = getnetbyaddr_r(0x7f, AF_INET, &network, buffer, sizeof buffer, &found, &error);
    printf("%d %d %d\n", result, found == NULL, error);
    return 0;
}

int main(int count, char **a)
{
    static const struct { const char *name; int arguments; int (*run)(char **); } commands[] = {
        {"addrinfo", 4, addrinfo}, {"byname", 2, byname}, {"byname_r", 3, byname_r}, {"byaddr", 1, byaddr},
        {"nameinfo", 2, nameinfo}, {"cookies", 1, cookies}, {"forked", 1, forked}, {"threads", 1, threads}, {"dns", 4, dns}, {"old", 2, old}, {"older", 1, older}, {"hostid", 0, hostid}, {"networks", 1, networks},
    };
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (count == commands[i].arguments + 2 && !strcmp(a[1], commands[i].name))
            return commands[i].run(a + 2);
    return 2;
}
