alter table visits add column page text not null default '/';
create index visits_by_page on visits (page);
