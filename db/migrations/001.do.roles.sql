-- Roles belong to the cluster, so two databases of one cluster may create them at once: one at a time, by advisory lock.
-- weaver_walle writes business tables and appends to the log; weaver_reader reads. Both are group roles that the
-- connecting user takes on with SET ROLE; the connecting user owns the tables.
do $$
declare role_name text;
begin
  perform pg_advisory_xact_lock(hashtextextended('weaver:roles', 0));
  foreach role_name in array array['weaver_walle', 'weaver_reader'] loop
    if not exists (select from pg_roles where rolname = role_name) then
      if not exists (select from pg_roles where rolname = current_user and (rolcreaterole or rolsuper)) then
        raise exception using errcode = '42501',
          message = format('the database user %I may not create the role %I', current_user, role_name),
          hint = format('run as a superuser: create role %I nologin; grant %I to %I;', role_name, role_name, current_user);
      end if;
      execute format('create role %I nologin', role_name);
    end if;
    if not pg_has_role(current_user, role_name, 'member') or not exists (
      select from pg_roles where rolname = current_user and rolsuper
    ) then
      begin
        execute format('grant %I to %I', role_name, current_user);
      exception when insufficient_privilege then
        if not pg_has_role(current_user, role_name, 'member') then
          raise exception using errcode = '42501',
            message = format('the database user %I is not a member of the role %I', current_user, role_name),
            hint = format('run as a superuser: grant %I to %I;', role_name, current_user);
        end if;
      end;
    end if;
  end loop;
end $$;

create schema if not exists weaver;
grant usage on schema weaver to weaver_walle, weaver_reader;
alter default privileges in schema weaver grant select on tables to weaver_walle, weaver_reader;
alter default privileges in schema weaver grant usage on sequences to weaver_walle;
