import { type CliContext, withSystem } from './context.ts'

export async function migrateCommand(context: CliContext): Promise<number> {
  await withSystem(context, 'migrate', async () => context.print('The database is up to date.'))
  return 0
}
