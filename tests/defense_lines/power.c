/* Preloaded into a process: a disk that forgets. What the process syncs below POWER_ROOT is copied into POWER_SHADOW:
 * a file's content under the file's identity, and a folder's names, each with the identity of the file that it names.
 * All else would be lost with the power. Nothing is really synced: that costs time, and changes nothing here.
 * Files named in POWER_IGNORE (comma-separated) are synced in vain. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_mutex_t alone = PTHREAD_MUTEX_INITIALIZER;

/* An inode's number is used again; with the moment of its birth it is not. */
static int identify(int folder, const char *name, char *key, size_t size) {
    struct statx found;
    int flags = AT_SYMLINK_NOFOLLOW | (*name ? 0 : AT_EMPTY_PATH);
    if (statx(folder, name, flags, STATX_INO | STATX_BTIME, &found) != 0) return -1;
    long long birth = found.stx_btime.tv_sec * 1000000000LL + found.stx_btime.tv_nsec;
    snprintf(key, size, "%llu-%lld", (unsigned long long)found.stx_ino, birth);
    return 0;
}

static int copy(int from, int to) {
    char block[65536];
    off_t at = 0;
    for (;;) {
        ssize_t got = pread(from, block, sizeof block, at);
        if (got == 0) return 0;
        if (got < 0 || write(to, block, (size_t)got) != got) return -1;
        at += got;
    }
}

static int keep_content(int file, const char *path, int to) {
    int mode = fcntl(file, F_GETFL) & O_ACCMODE;
    if (mode != O_WRONLY) return copy(file, to); /* to open and close it again would give up the process's locks on it */
    int again = open(path, O_RDONLY | O_CLOEXEC);
    if (again < 0) return -1;
    int result = copy(again, to);
    close(again);
    return result;
}

static int keep_names(const char *path, int to) {
    DIR *folder = opendir(path);
    if (!folder) return -1;
    struct dirent *entry;
    char key[64];
    while ((entry = readdir(folder)))
        if (entry->d_type == DT_REG && identify(dirfd(folder), entry->d_name, key, sizeof key) == 0)
            dprintf(to, "%s %s\n", key, entry->d_name);
    closedir(folder);
    return 0;
}

static int ignored(const char *path) {
    const char *name = strrchr(path, '/') + 1, *list = getenv("POWER_IGNORE");
    size_t length = strlen(name);
    for (const char *at = list; at && *at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (strncmp(at, name, length) == 0 && (at[length] == ',' || at[length] == '\0')) return 1;
    return 0;
}

static int keep(int file) {
    const char *root = getenv("POWER_ROOT"), *shadow = getenv("POWER_SHADOW");
    char link[64], path[PATH_MAX], key[64], staged[PATH_MAX], place[PATH_MAX];
    struct stat found;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0 || fstat(file, &found) != 0) return -1;
    path[length] = '\0';
    int is_root = root && strcmp(path, root) == 0;
    int below = root && strncmp(path, root, strlen(root)) == 0 && path[strlen(root)] == '/';
    if (!shadow || !(is_root || below) || (below && ignored(path))) return 0;
    if (identify(file, "", key, sizeof key) != 0) return -1;
    snprintf(place, sizeof place, "%s/%s", shadow, is_root ? "names" : key);
    snprintf(staged, sizeof staged, "%s/staged-%d", shadow, getpid());
    int to = open(staged, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (to < 0) return -1;
    int result = S_ISDIR(found.st_mode) ? keep_names(path, to) : keep_content(file, path, to);
    close(to);
    return result == 0 ? rename(staged, place) : -1;
}

static int synced(int file) {
    if (fcntl(file, F_GETFD) < 0) return -1;
    int before = errno;
    pthread_mutex_lock(&alone);
    int result = keep(file);
    pthread_mutex_unlock(&alone);
    if (result == 0) errno = before;
    return result;
}

int fsync(int file) { return synced(file); }
int fdatasync(int file) { return synced(file); }
