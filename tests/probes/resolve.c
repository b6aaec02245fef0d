/* Resolves each argument; prints its first address, or the EAI_ code. */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>

static const char *code_name(int code)
{
    switch (code) {
    case EAI_NONAME: return "EAI_NONAME";
    case EAI_AGAIN: return "EAI_AGAIN";
    case EAI_FAIL: return "EAI_FAIL";
    case EAI_SYSTEM: return "EAI_SYSTEM";
    default: return gai_strerror(code);
    }
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
        char host[64] = "";
        int code = getaddrinfo(argv[i], "80", &hints, &list);
        if (code == 0) {
            getnameinfo(list->ai_addr, list->ai_addrlen, host, sizeof host, NULL, 0,
                        NI_NUMERICHOST);
            freeaddrinfo(list);
        }
        puts(code == 0 ? host : code_name(code));
    }
    return 0;
}
