/* Stands for libcurl of version NUMBER: asks for the variables that name a proxy, in libcurl's order. */
#include <stdio.h>
#include <stdlib.h>

struct version {
    int age;
    const char *text;
    unsigned number;
};

struct version *curl_version_info(int age)
{
    static struct version version = {0, "", NUMBER};
    (void)age;
    return &version;
}

int curl_easy_perform(void *handle)
{
    static const char *const names[]
        = {"no_proxy", "NO_PROXY", "http_proxy", "all_proxy", "ALL_PROXY", "PROXY"};
    (void)handle;
    for (int i = 0; i < 6; i++) {
        const char *value = getenv(names[i]);
        if (value)
            printf("%s=%s\n", names[i], value);
    }
    return 0;
}
