#ifndef MASTER_PROGRAM_H
#define MASTER_PROGRAM_H
int program_running(void);
int program_open(const char *path);
void program_execute(int fd, char *const argv[]);
#endif
