/*
 * What the shim starts as its engine (GCCLLM_ENGINE): hands the request's directory to the campaign's process over the
 * socket CAMPAIGN_SOCKET and ends with the status that comes back. No interpreter starts for a unit.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char **argv) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = getenv("CAMPAIGN_SOCKET");
    int door = socket(AF_UNIX, SOCK_STREAM, 0);
    unsigned char status = 1;

    if (argc != 2 || path == NULL || strlen(path) >= sizeof address.sun_path || door < 0)
        return 1;
    strcpy(address.sun_path, path);
    if (connect(door, (struct sockaddr *)&address, sizeof address) != 0 ||
        write(door, argv[1], strlen(argv[1])) != (ssize_t)strlen(argv[1]) || shutdown(door, SHUT_WR) != 0 ||
        read(door, &status, 1) != 1)
        return 1;
    return status;
}
