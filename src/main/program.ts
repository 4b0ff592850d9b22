/** The program itself. */
export interface Program {
  readonly version: string;
  /** Path of its main module. */
  readonly main: string;
  /** Folder of its modules. */
  readonly dir: string;
}
